package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.cli.study.StudyPrompts;
import io.holdfast.geometry.RefusalScore;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Option;

/** The prompts that carriers are found on, and how their replies are told apart. */
final class StudyOption {
  @Option(
      names = "--harmful",
      paramLabel = "FILE",
      required = true,
      description = "Prompts that ask for harm, as JSON Lines.")
  private Path harmful;

  @Option(
      names = "--benign",
      paramLabel = "FILE",
      required = true,
      description =
          "Prompts that do not; some that are refused all the same tell harm from refusal.")
  private Path benign;

  @Option(
      names = "--labels",
      paramLabel = "SOURCE",
      description =
          "own: what the model answers, judged; file: the field 'reply' of each row, refused,"
              + " complied or other (default: own).")
  private StudyPrompts.Labels labels = StudyPrompts.Labels.OWN;

  @Option(
      names = "--judge",
      paramLabel = "NAME",
      description =
          "Who tells a refusal: a phrase list, its .yaml file, or world (default:"
              + " ${DEFAULT-VALUE}).")
  private String judge = "arditi";

  @Option(
      names = "--limit",
      paramLabel = "N",
      description = "Prompts of each file, at most (default: ${DEFAULT-VALUE}).")
  private int limit = 256;

  @Option(
      names = "--refusal-tokens",
      paramLabel = "ID",
      split = ",",
      description = "Tokens with which refusals begin; learnt from the model's own if not given.")
  private List<Integer> tokens = List.of();

  @Option(
      names = "--max-new-tokens",
      paramLabel = "N",
      description = "Longest answer that is judged (default: ${DEFAULT-VALUE}).")
  private int maxNewTokens = 64;

  @Option(names = "--seed", description = "Seed of draws and controls (default: ${DEFAULT-VALUE}).")
  private long seed = 1;

  StudyPrompts read() {
    if (limit < 1 || maxNewTokens < 1) {
      throw HoldfastException.usage("--limit and --max-new-tokens are at least 1");
    }
    return StudyPrompts.read(harmful, benign, judge, labels, limit);
  }

  Optional<RefusalScore> score(int vocabulary) {
    return RefusalScore.given(tokens, vocabulary);
  }

  int maxNewTokens() {
    return maxNewTokens;
  }

  long seed() {
    return seed;
  }
}
