package io.holdfast.cli.study;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.eval.EvalSuite;
import io.holdfast.geometry.RefusalScore;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.Function;

/**
 * What all parts of a study share: the reference with its replies, loaded when the first part needs
 * it, and where results are kept.
 */
public final class StudyContext implements AutoCloseable {
  private final Checkpoint reference;
  private final StudyPrompts prompts;
  private final MeasureStudy measures;
  private final Optional<RefusalScore> score;
  private final Stages stages;
  private String inputs;
  private Decoder model;
  private ChatTokenizer chat;
  private Observed observed;

  /**
   * A study.
   *
   * @param reference that regimes start from
   * @param score of refusals, if it is given
   * @param folder where the results of its parts are kept
   */
  public StudyContext(
      Checkpoint reference,
      StudyPrompts prompts,
      MeasureStudy measures,
      Optional<RefusalScore> score,
      Path folder) {
    this.reference = reference;
    this.prompts = prompts;
    this.measures = measures;
    this.score = score;
    this.stages = new Stages(folder);
  }

  Checkpoint reference() {
    return reference;
  }

  StudyPrompts prompts() {
    return prompts;
  }

  Stages stages() {
    return stages;
  }

  MeasureStudy measures() {
    return measures;
  }

  Optional<RefusalScore> score() {
    return score;
  }

  /** Everything that a measurement depends on beside the model measured. */
  String inputs() {
    if (inputs == null) {
      var suite = measures.suite().map(StudyContext::text).orElse("");
      inputs =
          String.join(
              "\n",
              reference.hash(),
              prompts.cases().toString(),
              prompts.harmful().judgeName(),
              prompts.labels().toString(),
              measures.settings().toString(),
              measures.task().stream().map(row -> Arrays.toString(row.ids())).toList().toString(),
              String.valueOf(measures.maxNewTokens()),
              score.map(s -> Arrays.toString(s.tokens())).orElse(""),
              suite);
    }
    return inputs;
  }

  static String text(EvalSuite suite) {
    var text = new StringBuilder().append(suite.maxNewTokens());
    for (var set : suite.sets()) {
      text.append(set.name()).append(set.measure()).append(set.judgeName()).append(set.cases());
    }
    return text.toString();
  }

  /** The reference's tokenizer, which is that of all models of the study. */
  ChatTokenizer chat() {
    if (chat == null) {
      chat = ChatTokenizer.load(reference.folder());
    }
    return chat;
  }

  Decoder model() {
    if (model == null) {
      model = reference.load();
    }
    return model;
  }

  Observed observed() {
    if (observed == null) {
      observed =
          Observed.of(model(), chat(), prompts, Optional.empty(), score, measures.maxNewTokens());
    }
    return observed;
  }

  /**
   * Does something with a model, or finds it done.
   *
   * @param stage name of the part
   * @param more what the result depends on besides
   * @throws io.holdfast.HoldfastException if the model is of another architecture
   */
  ObjectNode with(
      Checkpoint checkpoint, String stage, String more, Function<Decoder, ObjectNode> work) {
    var key = String.join("\n", stage, checkpoint.hash(), more, inputs());
    return stages.of(
        stage,
        key,
        () -> {
          if (checkpoint.equals(reference)) {
            return work.apply(model());
          }
          try (var other = checkpoint.loadLike(model(), reference.name())) {
            return work.apply(other);
          }
        });
  }

  /** What a model does with the prompts; the reference's labels stand in where they must. */
  Observed observed(Decoder decoder) {
    return decoder == model
        ? observed()
        : Observed.of(
            decoder, chat(), prompts, Optional.of(observed()), score, measures.maxNewTokens());
  }

  /** The measurement of a model, with the reference as what it moved from. */
  public ObjectNode measure(Checkpoint checkpoint) {
    return with(
        checkpoint,
        "measure-" + checkpoint.name(),
        "",
        decoder -> {
          var before =
              checkpoint.equals(reference)
                  ? Optional.<MeasureStudy.Reference>empty()
                  : Optional.of(new MeasureStudy.Reference(model(), observed()));
          var json = StudyFiles.object().put("checkpoint", checkpoint.name());
          json.setAll(measures.measure(decoder, chat(), observed(decoder), before).json());
          return json;
        });
  }

  @Override
  public void close() {
    if (model != null) {
      model.close();
    }
    if (chat != null) {
      chat.close();
    }
  }
}
