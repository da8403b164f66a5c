package io.holdfast.model;

/** What a forward pass does with a model's adapters. */
public enum AdapterMode {
  /** As if there were none: the reference model. */
  OFF,
  /** Applied, without dropout. */
  ON,
  /** Applied, with dropout. */
  TRAIN
}
