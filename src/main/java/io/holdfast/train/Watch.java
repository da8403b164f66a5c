package io.holdfast.train;

/** Follows a run while it trains, without a trace in the training. */
interface Watch extends AutoCloseable {
  /**
   * Looks at the model if that is due and has not been done, which after a resume it may have.
   *
   * @param optimizer whose gradients a look may spoil, and then drops
   */
  void look(Trainer trainer, TunedModel model, Adamw optimizer, RunFolder folder);

  @Override
  void close();
}
