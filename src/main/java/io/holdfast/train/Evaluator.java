package io.holdfast.train;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.config.TrainConfig;
import java.nio.file.Path;
import java.util.function.Function;

/** Finds out how a model does while it is being trained, without a trace in the training. */
@FunctionalInterface
public interface Evaluator {
  /**
   * Evaluates a model; the same model gets the same result.
   *
   * @param model with its adapters, if it has any
   * @return a line of {@code evals.jsonl} or {@code geometry.jsonl}, without the step
   */
  ObjectNode evaluate(Decoder model, ChatTokenizer chat);

  /** Reads what models are evaluated with: the trainer knows when, whoever calls it knows how. */
  @FunctionalInterface
  interface Loader {
    /**
     * Reads a suite.
     *
     * @throws io.holdfast.HoldfastException if the file or what it names is wrong
     */
    Evaluator load(Path suite);

    /**
     * Reads what the geometry of a run is measured with.
     *
     * @return makes, of the model that the run starts from, what measures models against it; that
     *     model itself gets a line without movement
     * @throws io.holdfast.HoldfastException if a file is wrong
     */
    default Function<Decoder, Evaluator> geometry(TrainConfig.Geometry settings) {
      throw new IllegalArgumentException("nobody here measures geometry, as " + settings);
    }
  }
}
