package io.holdfast.cli.study;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.geometry.RefusalScore;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.Evaluator;
import io.holdfast.train.config.TrainConfig;
import java.util.Optional;
import java.util.function.Function;

/** The measurement that a trajectory makes of checkpoints, of a model that is being trained. */
public final class LiveMeasure implements Evaluator {
  private final TrainConfig.Geometry settings;
  private final StudyPrompts prompts;
  private final Decoder reference;
  private MeasureStudy study;
  private Observed before;

  private LiveMeasure(TrainConfig.Geometry settings, StudyPrompts prompts, Decoder reference) {
    this.settings = settings;
    this.prompts = prompts;
    this.reference = reference;
  }

  /** Reads the prompts; the reference is that of {@link Evaluator.Loader#geometry}. */
  public static Function<Decoder, Evaluator> of(TrainConfig.Geometry settings) {
    var prompts = StudyPrompts.read(settings.prompts());
    return reference -> new LiveMeasure(settings, prompts, reference);
  }

  @Override
  public ObjectNode evaluate(Decoder model, ChatTokenizer chat) {
    int longest = settings.prompts().maxNewTokens();
    var score =
        RefusalScore.given(
            settings.prompts().refusalTokens(), reference.architecture().vocabulary());
    if (study == null) {
      study =
          MeasureStudy.of(settings.measures(), Optional.empty(), chat, longest, settings.seed());
      before = Observed.of(reference, chat, prompts, Optional.empty(), score, longest);
    }
    if (model == reference) {
      return study.measure(model, chat, before, Optional.empty()).json();
    }
    var now = Observed.of(model, chat, prompts, Optional.of(before), score, longest);
    var start = new MeasureStudy.Reference(reference, before);
    return study.measure(model, chat, now, Optional.of(start)).json();
  }
}
