package io.holdfast.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.cli.study.LiveMeasure;
import io.holdfast.eval.EvalSuite;
import io.holdfast.eval.SuiteReport;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.Evaluator;
import io.holdfast.train.config.TrainConfig;
import java.nio.file.Path;
import java.util.function.Function;

/**
 * A suite for a model that is being trained. A gate that is missed is named in the result and
 * leaves the run going.
 */
record SuiteEvaluator(EvalSuite suite) implements Evaluator {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int BATCH = 16;

  /** Suites and measurements for {@code train}. */
  static final Loader LOADER =
      new Loader() {
        @Override
        public Evaluator load(Path suite) {
          return new SuiteEvaluator(EvalSuite.load(suite));
        }

        @Override
        public Function<Decoder, Evaluator> geometry(TrainConfig.Geometry settings) {
          return LiveMeasure.of(settings);
        }
      };

  @Override
  public ObjectNode evaluate(Decoder model, ChatTokenizer chat) {
    return json(suite, suite.run(new Answers(model, chat, suite.maxNewTokens(), BATCH)));
  }

  /** A report with the names of the gates that it misses. */
  static ObjectNode json(EvalSuite suite, SuiteReport report) {
    ObjectNode line = JSON.valueToTree(report);
    var missed = line.putArray("missed_gates");
    suite.missed(report).forEach(gate -> missed.add(gate.toString()));
    return line;
  }
}
