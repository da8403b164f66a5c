package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels.KlDirection;
import io.holdfast.model.Architecture;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.model.TrainingPass;
import io.holdfast.model.Weights;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Runs with and without activation checkpointing are the same but for the memory they need. */
class ActivationCheckpointingTest {
  private static final String LORA =
      "tune={lora: {rank: 4, alpha: 8, dropout: 0.2, targets: [q_proj, v_proj, down_proj]}}";

  @TempDir Path folder;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  @ParameterizedTest
  @ValueSource(strings = {"full-tied", "lora-qv", "kl", "subspace-filter", "both"})
  void gradientsAreEqualBitForBit(String name) {
    var trace = Trace.of(name);
    var kernels = KernelBackends.select(Optional.of("cpu"));
    Map<String, float[]> expected;
    double objective;
    try (var window = TracedWindow.of(trace, KlDirection.FORWARD, kernels, folder)) {
      expected = window.gradients();
      objective = window.objective();
    }
    try (var window = TracedWindow.recomputed(trace, kernels, folder)) {
      var actual = window.gradients();
      assertEquals(expected.keySet(), actual.keySet());
      expected.forEach((parameter, values) -> assertArrayEquals(values, actual.get(parameter)));
      assertEquals(objective, window.objective());
    }
  }

  /** Dropout, anchors, guards at slots before which nothing is trained, frozen blocks, packing. */
  @ParameterizedTest
  @ValueSource(strings = {"lora", "guarded", "frozen", "packed"})
  void runsAreEqualBitForBit(String kind) {
    var tiny = TinyRun.in(folder);
    tiny.write("harmful.jsonl", prompts("the red lamp", "a river", "bread", "seven clouds"));
    tiny.write("benign.jsonl", prompts("stone", "the blue cloud", "a lamp", "seven"));
    var subspace =
        ("guard.subspace={layers: [0, 1, 2], rank: 2, filter: 0.5, contrast: {harmful: %s,"
                + " benign: %s}, anchors: %s}")
            .formatted(prompt("harmful"), prompt("benign"), prompt("harmful"));
    var settings = new ArrayList<>(List.of("accumulation=2", "steps=8"));
    settings.add("data.train=[" + folder.resolve("chats.jsonl") + "]");
    settings.addAll(
        switch (kind) {
          case "lora" -> List.of(LORA);
          case "guarded" -> List.of(LORA, subspace, "guard.kl={weight: 0.5}");
          case "frozen" -> List.of("freeze=[embed_tokens, model.layers.0.*]", subspace);
          case "packed" -> List.of(LORA, subspace, "data.packing=true", "data.max_length=64");
          default -> throw new IllegalArgumentException(kind);
        });
    var kept = TinyRun.train(tiny.config("kept", settings.toArray(String[]::new)));
    settings.add("activation_checkpointing=true");
    var recomputed = TinyRun.train(tiny.config("recomputed", settings.toArray(String[]::new)));
    assertEquals(TinyRun.metrics(tiny.output("kept")), TinyRun.metrics(tiny.output("recomputed")));
    var optimizer = "optimizer.safetensors";
    assertEquals(
        TinyRun.bits(kept.resolve(optimizer)), TinyRun.bits(recomputed.resolve(optimizer)));
  }

  private Path prompt(String name) {
    return folder.resolve(name + ".jsonl");
  }

  private static List<String> prompts(String... texts) {
    return java.util.Arrays.stream(texts)
        .map("{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}]}"::formatted)
        .toList();
  }

  /** One pass there and back through sixteen blocks; prints the peak of resident memory in kB. */
  static final class Pass {
    private static final String SHAPE =
        """
        {
          "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 64,
          "hidden_size": 64, "num_hidden_layers": 16, "num_attention_heads": 4,
          "num_key_value_heads": 4, "head_dim": 16, "intermediate_size": 192,
          "hidden_act": "silu", "max_position_embeddings": 1024, "rms_norm_eps": 1e-6,
          "rope_theta": 10000.0, "tie_word_embeddings": true, "dtype": "float32"
        }
        """;

    public static void main(String[] arguments) throws IOException {
      boolean recompute = Boolean.parseBoolean(arguments[0]);
      int length = Integer.parseInt(arguments[1]);
      var json = new com.fasterxml.jackson.databind.ObjectMapper().readTree(SHAPE);
      var shape = Architecture.of(json, Path.of("shape"));
      try (var model = new Decoder(shape, Weights.random(shape, 1))) {
        model.weights().all().values().forEach(weight -> weight.requires_grad_(true));
        pass(model, 8, recompute);
        long before = peak();
        pass(model, length, recompute);
        System.out.println(peak() - before);
      }
    }

    private static void pass(Decoder model, int length, boolean recompute) {
      var row =
          new Example(
              "row",
              new int[length],
              new boolean[length],
              -1,
              -1,
              0,
              new io.holdfast.data.Place(Path.of("rows"), 1));
      try (var scope = Scope.open()) {
        var tokens = Tokens.of(Batch.of(java.util.Collections.nCopies(8, row), 0));
        try (var pass =
            recompute
                ? TrainingPass.recomputed(model, tokens, Tap.NONE)
                : TrainingPass.kept(model, tokens, Tap.NONE)) {
          pass.backward(Tensors.zeros(Tensors.shape(pass.hidden())));
        }
      }
    }

    private static long peak() throws IOException {
      try (var lines = Files.lines(Path.of("/proc/self/status"))) {
        return lines
            .filter(line -> line.startsWith("VmHWM:"))
            .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
            .findFirst()
            .orElseThrow();
      }
    }
  }

  /** Of sixteen blocks one is held at a time, and the inputs of all. */
  @Test
  void thePeakOfMemoryIsAFraction() throws Exception {
    long kept = peak(false);
    long recomputed = peak(true);
    assertTrue(kept > 100_000, kept + " kB say nothing");
    assertTrue(recomputed < kept / 3, recomputed + " kB beside " + kept + " kB");
  }

  private static long peak(boolean recompute) throws Exception {
    var child =
        new Child(Pass.class, Boolean.toString(recompute), "512")
            .with("-Xms96m", "-Xmx96m", "-XX:+AlwaysPreTouch")
            .start();
    var printed = new String(child.getInputStream().readAllBytes()).strip();
    assertEquals(0, child.waitFor(), printed);
    return Long.parseLong(printed);
  }
}
