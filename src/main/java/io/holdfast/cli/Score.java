package io.holdfast.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.checkpoint.SafetensorsWriter;
import io.holdfast.checkpoint.SafetensorsWriter.Slot;
import io.holdfast.kernels.DType;
import io.holdfast.model.Scorer;
import io.holdfast.train.Progress;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** Log-probabilities that a model gives to rows. */
@Command(
    name = "score",
    description = "Write the natural log-probability of every token given those before it.")
final class Score implements Runnable {
  @Spec private CommandSpec spec;
  @ParentCommand private Holdfast root;
  @Mixin private ModelOption model;
  @Mixin private InputOption input;
  @Mixin private OutputOption output;
  @Mixin private BatchOption batch;
  @Mixin private DeviceOption device;

  @Option(
      names = "--last-logits",
      paramLabel = "FILE",
      description = "Also write the logits after each row's last token, as safetensors.")
  private Path lastLogits;

  @Override
  public void run() {
    device.require();
    var batches = batch.batches();
    try (var decoder = model.load();
        var rows =
            new Sequences(
                () -> InputOption.stream(input.file()),
                model.folder(),
                decoder.architecture().vocabulary())) {
      var scorer = new Scorer(decoder, batches, lastLogits != null);
      int positions = decoder.architecture().maxPositions();
      var check = Sequences.warnBeyond(positions, spec.commandLine().getErr());
      if (lastLogits == null) {
        score(rows, rows.check(check), scorer, _ -> {});
        return;
      }
      List<Long> shape = List.of((long) decoder.architecture().vocabulary());
      var slots = new ArrayList<Slot>();
      rows.check(
          check
              .andThen(Sequences.distinctNames())
              .andThen(row -> slots.add(new Slot(row.name(), DType.FLOAT32, shape))));
      SafetensorsWriter.stream(
          lastLogits, slots, Map.of(), logits -> score(rows, slots.size(), scorer, logits::add));
    }
  }

  private void score(Sequences rows, int count, Scorer scorer, Consumer<MemorySegment> logits) {
    try (var sequences = rows.stream();
        var progress = Progress.start("score", count, root.progress())) {
      int[] done = {0};
      output.write(
          lines ->
              scorer.score(
                  sequences.iterator(),
                  Sequences.Sequence::ids,
                  (row, score) -> {
                    lines.add(line(row, score));
                    logits.accept(MemorySegment.ofArray(score.lastLogits()));
                    progress.at(++done[0], "");
                  }));
    }
  }

  private static ObjectNode line(Sequences.Sequence row, Scorer.Score score) {
    var line = JsonNodeFactory.instance.objectNode();
    line.set("id", row.id());
    var tokens = line.putArray("tokens");
    for (int id : row.ids()) {
      tokens.add(id);
    }
    var logprobs = line.putArray("logprobs");
    for (float logprob : score.logprobs()) {
      logprobs.add(logprob);
    }
    return line;
  }
}
