package io.holdfast.model;

/** What a forward pass does with a model's adapter. */
public enum AdapterMode {
  /** Applied, without dropout. */
  ON,
  /** Applied, with dropout. */
  TRAIN
}
