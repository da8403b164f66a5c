package io.holdfast.guard.baseline;

import io.holdfast.Goldens;
import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.data.Place;
import io.holdfast.guard.HeadLoss;
import io.holdfast.guard.Tuning;
import io.holdfast.model.AdaptedDecoder;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.model.TrainingPass;
import io.holdfast.torch.Scope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * A run on the models of {@code goldens/train}, whose loss is LibTorch's: {@code start} in full
 * with {@code base} as its reference, or {@code base} with {@code adapter-all}.
 */
final class GoldenTuning implements Tuning, AutoCloseable {
  static final Path ROOT = Goldens.path("train");

  private final Decoder model;
  private final Decoder reference;
  private final AutoCloseable owner;
  private final SequencedMap<String, Tensor> parameters;
  long steps;

  private GoldenTuning(
      Decoder model,
      Decoder reference,
      SequencedMap<String, Tensor> parameters,
      AutoCloseable owner) {
    this.model = model;
    this.reference = reference;
    this.parameters = parameters;
    this.owner = owner;
    parameters.values().forEach(p -> p.requires_grad_(true));
  }

  static GoldenTuning full() {
    Decoder start;
    try (var file = Decoder.load(ROOT.resolve("start"))) {
      start = file.copy();
    }
    var base = Decoder.load(ROOT.resolve("base"));
    return new GoldenTuning(
        start,
        base,
        new LinkedHashMap<>(start.weights().all()),
        () -> {
          start.close();
          base.close();
        });
  }

  static GoldenTuning lora() {
    var adapted = AdaptedDecoder.load(ROOT.resolve("base"), ROOT.resolve("adapter-all"));
    return new GoldenTuning(adapted.decoder(), adapted.base(), adapted.parameters(), adapted);
  }

  /** Rows of the golden file. */
  static List<Example> rows(int from, int to) {
    var file = ROOT.resolve("rows.jsonl");
    var rows = new ArrayList<Example>();
    for (var row : Goldens.lines(file).subList(from, to)) {
      int[] target = Goldens.ints(row.get("target"));
      var flags = new boolean[target.length];
      for (int i = 0; i < target.length; i++) {
        flags[i] = target[i] == 1;
      }
      int[] tokens = Goldens.ints(row.get("tokens"));
      var place = new Place(file, from + rows.size() + 1);
      rows.add(new Example("" + rows.size(), tokens, flags, -1, -1, Float.NaN, place));
    }
    return rows;
  }

  /** Rows of a method's own. */
  static OwnRows own() {
    return new OwnRows(rows(4, 8), 1);
  }

  @Override
  public SequencedMap<String, Tensor> parameters() {
    return parameters;
  }

  @Override
  public Decoder model() {
    return model;
  }

  @Override
  public Decoder reference() {
    return reference;
  }

  @Override
  public long steps() {
    return steps;
  }

  @Override
  public long plannedSteps() {
    return 100;
  }

  @Override
  public Batch batch(List<Example> rows) {
    return Batch.of(rows, 0);
  }

  @Override
  public double backward(List<Example> rows, List<Tap> taps) {
    try (var scope = Scope.open()) {
      var batch = batch(rows);
      try (var pass = TrainingPass.kept(model, Tokens.of(batch), taps)) {
        var hidden = pass.hidden();
        var flat = hidden.reshape(-1, hidden.size(-1)).index_select(0, Positions.labelled(batch));
        var loss = torch.cross_entropy_loss(model.logits(flat), Positions.labels(batch));
        loss.backward();
        return loss.item_double();
      }
    }
  }

  @Override
  public double backward(List<Example> rows, HeadLoss loss) {
    throw new UnsupportedOperationException("no baseline has a loss of its own on the head");
  }

  @Override
  public void close() {
    Gradients.take(parameters);
    try {
      owner.close();
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }
}
