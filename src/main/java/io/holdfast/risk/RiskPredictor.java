package io.holdfast.risk;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.checkpoint.SafetensorsWriter;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.data.Example;
import io.holdfast.geometry.ActivationReader;
import io.holdfast.kernels.DType;
import io.holdfast.model.Decoder;
import io.holdfast.model.LengthBatches;
import io.holdfast.text.Position;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * Reads the risk of a prompt from a model's hidden state before it answers (the activation risk
 * predictor of Goel et al. 2026, at one layer and position, with the probability as the risk).
 *
 * @param modelHash of the model it was fitted on
 * @param layer slot of the residual stream
 * @param position {@link Position#INSTRUCTION_END} or {@link Position#PROMPT_END}
 * @param classifier of the state
 * @param threshold of the probability at which the wanted recall was reached
 * @param hard whether the risk is 1 from the threshold on and 0 below, instead of the probability
 */
public record RiskPredictor(
    String modelHash,
    int layer,
    Position position,
    Classifier classifier,
    double threshold,
    boolean hard) {
  private static final String FORMAT = "risk-predictor 1";
  private static final LengthBatches BATCHES = new LengthBatches(32, 16384);

  /** The same predictor with another {@code hard}. */
  public RiskPredictor hard(boolean other) {
    return new RiskPredictor(modelHash, layer, position, classifier, threshold, other);
  }

  /**
   * Writes a predictor.
   *
   * @param about what else it depends on, such as the hash of its data
   */
  public void save(Path file, Map<String, String> about) {
    var metadata = new TreeMap<>(about);
    metadata.put("holdfast", FORMAT);
    metadata.put("model", modelHash);
    metadata.put("layer", String.valueOf(layer));
    metadata.put("position", position.name().toLowerCase(Locale.ROOT));
    metadata.put("kind", classifier instanceof MlpProbe ? "mlp" : "logistic");
    metadata.put("threshold", String.valueOf(threshold));
    try (var arena = Arena.ofConfined()) {
      var tensors = new ArrayList<TensorEntry>();
      classifier.parameters().forEach((name, rows) -> tensors.add(entry(name, rows, arena)));
      SafetensorsWriter.write(file, tensors, metadata);
    }
  }

  private static TensorEntry entry(String name, double[][] rows, Arena arena) {
    long columns = rows[0].length;
    var memory = arena.allocate(ValueLayout.JAVA_DOUBLE, rows.length * columns);
    for (int i = 0; i < rows.length; i++) {
      MemorySegment.copy(
          rows[i], 0, memory, ValueLayout.JAVA_DOUBLE, 8 * i * columns, rows[i].length);
    }
    return new TensorEntry(name, DType.FLOAT64, List.of((long) rows.length, columns), memory);
  }

  /**
   * Reads a predictor.
   *
   * @param modelHash of the model whose states it is to read
   * @param model that model
   * @throws HoldfastException if it was fitted on another model, or a layer this one does not have
   */
  public static RiskPredictor load(Path file, String modelHash, Decoder model) {
    try (var tensors = Safetensors.open(file)) {
      var metadata = tensors.metadata();
      if (!FORMAT.equals(metadata.get("holdfast"))) {
        throw HoldfastException.input(
            "%s: not a risk predictor; make one with ./holdfast risk fit", file);
      }
      if (!modelHash.equals(metadata.get("model"))) {
        throw HoldfastException.input(
            "%s: this predictor was fitted on another model (%s, here %s). Fit it on this one:"
                + " ./holdfast risk fit.",
            file, metadata.get("model"), modelHash);
      }
      var predictor =
          new RiskPredictor(
              modelHash,
              Integer.parseInt(metadata.get("layer")),
              Position.valueOf(metadata.get("position").toUpperCase(Locale.ROOT)),
              classifier(tensors, metadata.get("kind")),
              Double.parseDouble(metadata.get("threshold")),
              false);
      int depth = model.architecture().depth();
      int width = model.architecture().hidden();
      if (predictor.layer < 0 || predictor.layer > depth) {
        throw HoldfastException.input(
            "%s: this predictor reads layer %d, the model's residual stream has 0 to %d",
            file, predictor.layer, depth);
      }
      if (predictor.classifier.width() != width) {
        throw HoldfastException.input(
            "%s: this predictor reads states of width %d, the model's have %d",
            file, predictor.classifier.width(), width);
      }
      return predictor;
    } catch (IllegalArgumentException | NullPointerException e) {
      throw HoldfastException.input("%s: not a whole risk predictor; fit it again", file)
          .causedBy(e);
    }
  }

  private static Classifier classifier(Safetensors tensors, String kind) {
    var mean = rows(tensors, "mean")[0];
    var deviation = rows(tensors, "deviation")[0];
    double bias = rows(tensors, "bias")[0][0];
    return kind.equals("mlp")
        ? new MlpProbe(
            mean,
            deviation,
            rows(tensors, "hidden"),
            rows(tensors, "hidden_bias")[0],
            rows(tensors, "output")[0],
            bias)
        : new LogisticProbe(mean, deviation, rows(tensors, "weights")[0], bias);
  }

  private static double[][] rows(Safetensors tensors, String name) {
    var tensor = tensors.get(name);
    int columns = Math.toIntExact(tensor.sizes()[1]);
    double[] values = tensor.data().toArray(ValueLayout.JAVA_DOUBLE_UNALIGNED);
    var rows = new double[values.length / columns][];
    Arrays.setAll(rows, i -> Arrays.copyOfRange(values, i * columns, (i + 1) * columns));
    return rows;
  }

  /** The token of an example whose state is read. */
  int at(Example example) {
    int at = position == Position.PROMPT_END ? example.promptEnd() : example.instructionEnd();
    if (at < 0) {
      throw example
          .place()
          .bad(
              "this row has no prompt whose risk could be read; give it as messages, or as a"
                  + " prompt and a completion");
    }
    return at;
  }

  /**
   * The risk of an example by its state.
   *
   * @throws HoldfastException if the state is not finite
   */
  float risk(Example example, float[] state) {
    var values = new double[state.length];
    for (int j = 0; j < state.length; j++) {
      values[j] = state[j];
    }
    requireFinite(values, example, layer);
    double p = classifier.risk(values);
    return (float) (hard ? p >= threshold ? 1 : 0 : p);
  }

  /** Refuses a state that is not finite, which no classifier can read. */
  static void requireFinite(double[] state, Example example, int layer) {
    for (double value : state) {
      if (!Double.isFinite(value)) {
        throw example
            .place()
            .bad(
                "the model's hidden state at layer %d is %s for this prompt, so its risk cannot be"
                    + " read. Look at the model's weights, or compute in float32.",
                layer, value);
      }
    }
  }

  /** The risks of examples by one pass over their prompts. */
  public float[] risks(Decoder model, List<Example> examples) {
    var risks = new float[examples.size()];
    int[] row = {0};
    new ActivationReader(model, List.of(layer), BATCHES)
        .read(
            examples.iterator(),
            example -> {
              int at = at(example);
              return new ActivationReader.Wanted(
                  Arrays.copyOf(example.ids(), at + 1), new int[] {at});
            },
            (example, states) -> risks[row[0]++] = risk(example, states.getFirst()));
    return risks;
  }

  /** In words, for the manifest. */
  public String name() {
    return "%s predictor at layer %d, %s%s"
        .formatted(
            classifier instanceof MlpProbe ? "MLP" : "logistic",
            layer,
            position.name().toLowerCase(Locale.ROOT),
            hard ? ", 1 from " + threshold + " on" : "");
  }
}
