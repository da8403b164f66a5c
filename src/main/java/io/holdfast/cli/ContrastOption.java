package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.Sha256;
import io.holdfast.data.Example;
import io.holdfast.data.ExampleReader;
import io.holdfast.data.RowReader;
import io.holdfast.data.Rows;
import io.holdfast.eval.PhraseList;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Option;

/** Two classes of prompts: harmful and benign ones, or those a model refuses and answers. */
final class ContrastOption {
  @Option(names = "--harmful", paramLabel = "FILE", description = "Prompts that should be refused.")
  private Path harmful;

  @Option(names = "--benign", paramLabel = "FILE", description = "Prompts that should be answered.")
  private Path benign;

  @Option(
      names = "--prompts",
      paramLabel = "FILE",
      description =
          "Instead of both: prompts of either kind, told apart by whether the model refuses them.")
  private Path prompts;

  @Option(
      names = "--phrases",
      paramLabel = "LIST",
      description =
          "What marks an answer as a refusal: the name of a phrase list, or a file (default:"
              + " arditi).")
  private String phrases = "arditi";

  @Option(
      names = "--max-length",
      paramLabel = "N",
      description = "Longest prompt in tokens (default: ${DEFAULT-VALUE}).")
  private int maxLength = 2048;

  /**
   * Both classes, neither of them empty.
   *
   * @param refused prompts that should be refused, or were
   * @param answered the others
   * @param files they came from
   */
  record Contrast(List<Example> refused, List<Example> answered, List<Path> files) {
    /** Identifies the rows. */
    String hash() {
      return Sha256.of(files);
    }
  }

  /**
   * Reads the classes.
   *
   * @param answers whether the answers in the files, or the model's own, belong to the examples
   * @throws HoldfastException if a class is empty
   */
  Contrast read(Decoder model, ChatTokenizer chat, boolean answers) {
    if (prompts != null) {
      if (harmful != null || benign != null) {
        throw HoldfastException.usage("--prompts cannot be given beside --harmful and --benign");
      }
      var own = OwnAnswers.of(model, chat, examples(chat, prompts, false), phraseList());
      requireSome(prompts, own.refused(), "refuses none");
      requireSome(prompts, own.answered(), "answers none");
      return answers
          ? new Contrast(own.refused(), own.answered(), List.of(prompts))
          : new Contrast(
              OwnAnswers.promptsOf(own.refused()),
              OwnAnswers.promptsOf(own.answered()),
              List.of(prompts));
    }
    if (harmful == null || benign == null) {
      throw HoldfastException.usage(
          "give --harmful FILE and --benign FILE, or --prompts FILE for the model's own refusals");
    }
    return new Contrast(
        examples(chat, harmful, answers),
        examples(chat, benign, answers),
        List.of(harmful, benign));
  }

  private static void requireSome(Path file, List<Example> examples, String what) {
    if (examples.isEmpty()) {
      throw HoldfastException.input(
          "%s: the model %s of these prompts, so there is nothing to contrast; add prompts of the"
              + " other kind, or choose another list of --phrases",
          file, what);
    }
  }

  /** How a model's answers are told apart. */
  PhraseList phraseList() {
    return PhraseList.NAMES.contains(phrases)
        ? PhraseList.named(phrases)
        : PhraseList.read(Path.of(phrases));
  }

  /** The rows of a file; text and tokens are prompts as they stand. */
  private List<Example> examples(ChatTokenizer chat, Path file, boolean answers) {
    var reader =
        new ExampleReader(
            new RowReader(chat), ExampleReader.LossOn.COMPLETION, maxLength, Optional.empty());
    if (answers) {
      return reader.read(List.of(file)).examples();
    }
    var examples = new ArrayList<Example>();
    Rows.read(
        file,
        (json, place) -> {
          if (json.has("messages") || json.has("conversations")) {
            json.put("add_generation_prompt", true);
          }
          var encoded = reader.rows().read(json, place);
          int last = encoded.ids().length - 1;
          if (last >= maxLength) {
            throw place.bad("%d tokens, which is over --max-length %d", last + 1, maxLength);
          }
          examples.add(
              new Example(
                  json.path("id").asText(place.toString()),
                  encoded.ids(),
                  new boolean[last + 1],
                  encoded.instructionEnd(),
                  encoded.promptEnd() < 0 ? last : encoded.promptEnd(),
                  Float.NaN,
                  place));
        });
    if (examples.isEmpty()) {
      throw HoldfastException.input("%s: the file is empty; a contrast needs prompts", file);
    }
    return examples;
  }
}
