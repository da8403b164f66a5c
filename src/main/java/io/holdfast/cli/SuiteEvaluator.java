package io.holdfast.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.eval.EvalSuite;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.Evaluator;
import java.nio.file.Path;

/**
 * A suite for a model that is being trained. A gate that is missed is named in the result and
 * leaves the run going.
 */
record SuiteEvaluator(EvalSuite suite) implements Evaluator {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int BATCH = 16;

  static Evaluator load(Path file) {
    return new SuiteEvaluator(EvalSuite.load(file));
  }

  @Override
  public ObjectNode evaluate(Decoder model, ChatTokenizer chat) {
    var report = suite.run(new Answers(model, chat, suite.maxNewTokens(), BATCH));
    ObjectNode line = JSON.valueToTree(report);
    var missed = line.putArray("missed_gates");
    suite.missed(report).forEach(gate -> missed.add(gate.toString()));
    return line;
  }
}
