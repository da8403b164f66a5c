package io.holdfast.checkpoint;

import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** What a folder must hold, and what to tell the user when it does not. */
final class FolderCheck {
  /** What travels with the weights when a model is saved. */
  static final List<String> COPIED =
      List.of(
          ModelFolder.GENERATION_CONFIG,
          "tokenizer.json",
          "tokenizer_config.json",
          "special_tokens_map.json",
          "added_tokens.json",
          "chat_template.jinja",
          "chat_template.json",
          "vocab.json",
          "merges.txt",
          "vocab.txt",
          "tokenizer.model");

  private static final String MUST_HOLD =
      "a model folder holds config.json, model.safetensors (or model.safetensors.index.json and its"
          + " shards), tokenizer.json and tokenizer_config.json";

  private FolderCheck() {}

  /** Throws unless configuration and weights are there. */
  static void model(Path folder) {
    exists(folder, MUST_HOLD);
    if (!has(folder, ModelFolder.CONFIG) && has(folder, AdapterFolder.CONFIG)) {
      throw HoldfastException.input(
          "%s: this is an adapter, not a model; give it as the adapter and its base as the model",
          folder);
    }
    if (!has(folder, ModelFolder.CONFIG)) {
      throw HoldfastException.input("%s: there is no config.json; %s", folder, MUST_HOLD);
    }
    if (has(folder, ModelFolder.WEIGHTS) || has(folder, ModelFolder.INDEX)) {
      return;
    }
    if (pickled(folder, "pytorch_model")) {
      throw HoldfastException.input(
          "%s: only pickled weights (pytorch_model*.bin), which are never read because loading them"
              + " can run code; convert them: python -c \"from transformers import"
              + " AutoModelForCausalLM as M;"
              + " M.from_pretrained('%s').save_pretrained('CONVERTED')\"",
          folder, folder);
    }
    throw HoldfastException.input("%s: there are no weights; %s", folder, MUST_HOLD);
  }

  /** Throws unless configuration and weights of an adapter are there. */
  static void adapter(Path folder) {
    String mustHold = "an adapter folder holds adapter_config.json and adapter_model.safetensors";
    exists(folder, mustHold);
    if (!has(folder, AdapterFolder.CONFIG)) {
      throw HoldfastException.input(
          "%s: there is no adapter_config.json; %s%s",
          folder,
          mustHold,
          has(folder, ModelFolder.CONFIG) ? "; this looks like a model, not an adapter" : "");
    }
    if (has(folder, AdapterFolder.WEIGHTS)) {
      return;
    }
    if (pickled(folder, "adapter_model")) {
      throw HoldfastException.input(
          "%s: only pickled weights (adapter_model.bin), which are never read because loading them"
              + " can run code; load the adapter with peft and call"
              + " save_pretrained('CONVERTED', safe_serialization=True)",
          folder);
    }
    throw HoldfastException.input("%s: there are no weights; %s", folder, mustHold);
  }

  private static void exists(Path folder, String mustHold) {
    if (!Files.isDirectory(folder)) {
      throw HoldfastException.input(
          "%s: %s; %s", folder, Files.exists(folder) ? "not a folder" : "no such folder", mustHold);
    }
  }

  private static boolean has(Path folder, String name) {
    return Files.exists(folder.resolve(name));
  }

  private static boolean pickled(Path folder, String stem) {
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .map(file -> file.getFileName().toString())
          .anyMatch(name -> name.startsWith(stem) && name.endsWith(".bin"));
    } catch (IOException e) {
      throw HoldfastException.unreadable(folder, e);
    }
  }
}
