package io.holdfast.train;

import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;

/**
 * Measures a model's carriers and their coupling while it trains, in {@code geometry.jsonl} of the
 * run's folder: the start of the run, every so many steps, and the last.
 *
 * @param start the model as the run finds it
 */
record GeometryWatch(Evaluator evaluator, Decoder start, ChatTokenizer chat, int every)
    implements Watch {
  @Override
  public void look(Trainer trainer, TunedModel model, Adamw optimizer, RunFolder folder) {
    long step = trainer.steps();
    if (folder.lastGeometry() < step && (step % every == 0 || trainer.done())) {
      var decoder = step == 0 ? start : model.decoder();
      folder.appendGeometry(step, evaluator.evaluate(decoder, chat));
      optimizer.dropGradients();
    }
  }

  @Override
  public void close() {}
}
