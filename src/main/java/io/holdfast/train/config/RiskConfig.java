package io.holdfast.train.config;

import static io.holdfast.train.config.InvalidValue.unless;

/** Where the risk of a row comes from, 0 to 1. */
public sealed interface RiskConfig {
  /**
   * Written beside each row.
   *
   * @param column field with the risk
   */
  record Recorded(String column) implements RiskConfig {}

  /**
   * The same for every row.
   *
   * @param value the risk
   */
  record Constant(double value) implements RiskConfig {
    public Constant {
      unless(value >= 0 && value <= 1, "value", "must be in [0, 1], is %s", value);
    }
  }
}
