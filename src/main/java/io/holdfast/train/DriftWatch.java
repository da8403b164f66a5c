package io.holdfast.train;

import io.holdfast.data.Example;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.guard.SubspaceFit;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.config.TrainConfig;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Follows the states of safety prompts while a run trains, in {@code drift.jsonl} of its folder.
 */
final class DriftWatch implements Watch {
  private final DriftLines lines;
  private final int every;

  private DriftWatch(DriftLines lines, int every) {
    this.lines = lines;
    this.every = every;
  }

  /**
   * The watch that a configuration asks for, if it does.
   *
   * @param examples of the task, the first of which are looked at
   */
  static Optional<Watch> of(
      TrainConfig config,
      TunedModel model,
      String modelHash,
      ChatTokenizer chat,
      List<Example> examples) {
    return config
        .drift()
        .map(
            settings -> {
              var reference = model.reference().decoder();
              var reader = TrainingData.prompts(config, chat);
              var harmful = reader.readPrompts(settings.contrast().harmful());
              var benign = reader.readPrompts(settings.contrast().benign());
              int depth = reference.architecture().depth();
              var all = IntStream.rangeClosed(1, depth).boxed().toList();
              var subspace =
                  settings
                      .basis()
                      .map(file -> SafetySubspace.load(file, modelHash))
                      .orElseGet(
                          () ->
                              SubspaceFit.fit(
                                  reference, harmful, benign, all, settings.rank(), modelHash));
              var task = examples.subList(0, Math.min(settings.rows(), examples.size()));
              return new DriftWatch(
                  new DriftLines(reference, subspace, harmful, benign, task), settings.every());
            });
  }

  @Override
  public void look(Trainer trainer, TunedModel model, Adamw optimizer, RunFolder folder) {
    long step = trainer.steps();
    if (step > 0 && folder.lastDrift() < step && (step % every == 0 || trainer.done())) {
      folder.appendDrift(step, lines.of(model.decoder()));
      optimizer.dropGradients();
    }
  }

  @Override
  public void close() {
    lines.close();
  }
}
