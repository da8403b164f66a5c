package io.holdfast.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.checkpoint.SafetensorsWriter;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.model.Decoder;
import io.holdfast.model.Scorer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Log-probabilities that a model gives to rows. */
@Command(
    name = "score",
    description = "Write the natural log-probability of every token given those before it.")
final class Score implements Runnable {
  @Mixin private ModelOption model;
  @Mixin private InputOption input;
  @Mixin private OutputOption output;
  @Mixin private DeviceOption device;

  @Option(
      names = "--last-logits",
      paramLabel = "FILE",
      description = "Also write the logits after each row's last token, as safetensors.")
  private Path lastLogits;

  @Option(names = "--batch-size", description = "Rows at a time (default: ${DEFAULT-VALUE}).")
  private int batchSize = 16;

  @Override
  public void run() {
    device.require(Optional.empty());
    var rows = input.rows();
    try (var decoder = model.load()) {
      var sequences = sequences(rows, decoder);
      var scores = new Scorer(decoder, batchSize).score(sequences);
      output.writeLines(
          IntStream.range(0, rows.size())
              .mapToObj(i -> line(rows.get(i), sequences.get(i), scores.get(i))));
      if (lastLogits != null) {
        writeLastLogits(rows, scores);
      }
    }
  }

  private List<int[]> sequences(List<InputOption.Row> rows, Decoder decoder) {
    return SequenceReader.read(rows, model.folder(), decoder.architecture().vocabulary());
  }

  private static ObjectNode line(InputOption.Row row, int[] ids, Scorer.Score score) {
    var line = JsonNodeFactory.instance.objectNode();
    line.set("id", row.id());
    var tokens = line.putArray("tokens");
    for (int id : ids) {
      tokens.add(id);
    }
    var logprobs = line.putArray("logprobs");
    for (float logprob : score.logprobs()) {
      logprobs.add(logprob);
    }
    return line;
  }

  private void writeLastLogits(List<InputOption.Row> rows, List<Scorer.Score> scores) {
    var tensors = new ArrayList<TensorEntry>();
    for (int i = 0; i < rows.size(); i++) {
      float[] logits = scores.get(i).lastLogits();
      tensors.add(TensorEntry.of(rows.get(i).id().asText(), List.of((long) logits.length), logits));
    }
    SafetensorsWriter.write(lastLogits, tensors, Map.of());
  }
}
