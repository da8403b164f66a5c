package io.holdfast.train;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import java.nio.file.Path;

/** Finds out how a model does while it is being trained, without a trace in the training. */
@FunctionalInterface
public interface Evaluator {
  /**
   * Evaluates a model; the same model gets the same result.
   *
   * @param model with its adapters, if it has any
   * @return a line of {@code evals.jsonl}, without the step
   */
  ObjectNode evaluate(Decoder model, ChatTokenizer chat);

  /** Reads suites: the trainer knows when to evaluate, whoever calls it knows how. */
  @FunctionalInterface
  interface Loader {
    /**
     * Reads a suite.
     *
     * @throws io.holdfast.HoldfastException if the file or what it names is wrong
     */
    Evaluator load(Path suite);
  }
}
