package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.SafetensorsWriter;
import io.holdfast.checkpoint.SafetensorsWriter.Slot;
import io.holdfast.geometry.ActivationReader;
import io.holdfast.geometry.ActivationReader.Wanted;
import io.holdfast.kernels.DType;
import io.holdfast.model.Decoder;
import io.holdfast.model.LengthBatches;
import io.holdfast.text.Position;
import io.holdfast.train.Progress;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** Hidden states of rows. */
@Command(
    name = "activations",
    description =
        "Write hidden states as safetensors: a float32 tensor [positions, d] per row and layer,"
            + " named id/layer. Layer 0 is the embedding output, layer l the residual stream after"
            + " block l, before the final norm.")
final class Activations implements Runnable {
  /** Bytes of hidden states that wait to be written. */
  private static final long WAITING = 1L << 28;

  @Spec private CommandSpec spec;
  @ParentCommand private Holdfast root;
  @Mixin private ModelOption model;
  @Mixin private InputOption input;
  @Mixin private DeviceOption device;

  @Option(
      names = "--layers",
      paramLabel = "L",
      description =
          "all, or numbers with commas between; -1 is the last (default: ${DEFAULT-VALUE}).")
  private String layers = "all";

  @Option(
      names = "--positions",
      paramLabel = "P",
      description =
          "Tokens of each row: all, last, instruction_end, prompt_end or response (default: all).")
  private Position positions = Position.ALL;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FILE",
      required = true,
      description = "Where the tensors go.")
  private Path output;

  @Override
  public void run() {
    device.require();
    try (var decoder = model.load();
        var rows =
            new Sequences(
                () -> InputOption.stream(input.file()),
                model.folder(),
                decoder.architecture().vocabulary())) {
      var wanted = LayerList.parse(layers, decoder.architecture().depth());
      long width = decoder.architecture().hidden();
      var slots = new ArrayList<Slot>();
      int maxPositions = decoder.architecture().maxPositions();
      int count =
          rows.check(
              Sequences.warnBeyond(maxPositions, spec.commandLine().getErr())
                  .andThen(Sequences.distinctNames())
                  .andThen(
                      row -> {
                        List<Long> shape = List.of((long) at(row).length, width);
                        for (int layer : wanted) {
                          slots.add(new Slot(row.name() + "/" + layer, DType.FLOAT32, shape));
                        }
                      }));
      SafetensorsWriter.stream(
          output, slots, metadata(wanted), sink -> write(decoder, rows, count, wanted, sink));
    }
  }

  private void write(
      Decoder decoder,
      Sequences rows,
      int count,
      List<Integer> wanted,
      SafetensorsWriter.Sink sink) {
    long token = 4L * wanted.size() * decoder.architecture().hidden();
    // Of long rows all states may be wanted: a batch of them is as much as should wait.
    int tokens = Math.toIntExact(Math.clamp(WAITING / token, 1, 4096));
    var batches = new LengthBatches(16, tokens, 1, length -> 0);
    try (var sequences = rows.stream();
        var progress = Progress.start("activations", count, root.progress())) {
      int[] done = {0};
      new ActivationReader(decoder, wanted, batches)
          .read(
              sequences.iterator(),
              row -> new Wanted(row.ids(), at(row)),
              (_, states) -> {
                states.forEach(values -> sink.add(MemorySegment.ofArray(values)));
                progress.at(++done[0], "");
              });
    }
  }

  private int[] at(Sequences.Sequence row) {
    try {
      int[] at = row.encoded().at(positions);
      if (at.length == 0) {
        throw HoldfastException.input(
            "this row has no %s; choose other --positions or leave it out", name());
      }
      return at;
    } catch (HoldfastException e) {
      throw row.place().bad(e);
    }
  }

  private Map<String, String> metadata(List<Integer> wanted) {
    var metadata = new TreeMap<String, String>();
    metadata.put("model_hash", model.hash());
    metadata.put("layers", wanted.stream().map(String::valueOf).collect(Collectors.joining(",")));
    metadata.put("positions", name());
    return metadata;
  }

  private String name() {
    return positions.name().toLowerCase(Locale.ROOT);
  }
}
