package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.cli.study.MeasureStudy;
import io.holdfast.eval.EvalSuite;
import io.holdfast.geometry.Measurement;
import io.holdfast.text.ChatTokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Option;

/** What is measured of a checkpoint, and how carefully. */
final class MeasureOption {
  @Option(
      names = "--rank",
      paramLabel = "K",
      description = "Directions of the carriers' subspaces (default: ${DEFAULT-VALUE}).")
  private int rank = 8;

  @Option(
      names = "--draws",
      paramLabel = "N",
      description = "Draws of bootstrap and permutations (default: ${DEFAULT-VALUE}).")
  private int draws = 200;

  @Option(
      names = "--suite",
      paramLabel = "FILE",
      description = "A suite, for the behaviour beside the geometry.")
  private Path suite;

  @Option(
      names = "--task",
      paramLabel = "FILE",
      description = "Rows with answers: how much of their gradient goes into the subspace.")
  private Path task;

  @Option(
      names = "--task-rows",
      paramLabel = "N",
      description = "Rows of the task, at most (default: ${DEFAULT-VALUE}).")
  private int taskRows = 64;

  MeasureStudy study(ChatTokenizer chat, long seed, int maxNewTokens) {
    if (rank < 1 || draws < 20 || taskRows < 1) {
      throw HoldfastException.usage("--rank and --task-rows are at least 1, --draws at least 20");
    }
    var others = List.of(1, 3).stream().filter(k -> k < rank).toList();
    return new MeasureStudy(
        new Measurement.Settings(rank, others, draws, seed),
        Optional.ofNullable(suite).map(EvalSuite::load),
        task == null ? List.of() : MeasureStudy.taskRows(chat, task, taskRows),
        maxNewTokens);
  }
}
