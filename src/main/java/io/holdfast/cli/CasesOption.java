package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.attack.AttackCase;
import io.holdfast.attack.AttackCases;
import io.holdfast.eval.EvalSuite;
import io.holdfast.eval.Judge;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Option;

/** The requests of an attack, and who judges the answers to them. */
final class CasesOption {
  @Option(
      names = {"-i", "--input"},
      paramLabel = "FILE",
      required = true,
      description =
          "Requests: HarmBench's or JailbreakBench's behaviours, AdvBench's goals, or rows with a"
              + " prompt; .csv, .jsonl, .json or .parquet.")
  private Path input;

  @Option(
      names = "--targets",
      paramLabel = "FILE",
      description = "HarmBench's targets, {id: text}, of rows that have none.")
  private Path targets;

  @Option(
      names = "--target",
      paramLabel = "TEXT",
      description = "The beginning of the answer to provoke, of rows that have none.")
  private String target;

  @Option(names = "--limit", paramLabel = "N", description = "Only the first N requests.")
  private Integer limit;

  @Option(
      names = "--judge",
      paramLabel = "NAME",
      description =
          "Who judges the answers: world, exact, a list of phrases (advbench, arditi,"
              + " jailbreakbench, zhao) or its .yaml file (default: ${DEFAULT-VALUE}).")
  private String judge = "advbench";

  @Option(
      names = "--max-new-tokens",
      paramLabel = "N",
      description = "Longest answer to be judged (default: ${DEFAULT-VALUE}).")
  private int newTokens = 128;

  /** The requests. */
  List<AttackCase> read() {
    if (limit != null && limit < 1 || newTokens < 1) {
      throw HoldfastException.usage("--limit and --max-new-tokens are at least 1");
    }
    var all = AttackCases.read(input, Optional.ofNullable(targets), Optional.ofNullable(target));
    return limit == null ? all : all.subList(0, Math.min(limit, all.size()));
  }

  Judge judge() {
    return EvalSuite.judge(Path.of(judge), judge);
  }

  String judgeName() {
    return judge;
  }

  int newTokens() {
    return newTokens;
  }
}
