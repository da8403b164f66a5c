package io.holdfast.risk;

import java.util.Map;

/** What reads risk from one activation. */
public sealed interface Classifier permits LogisticProbe, MlpProbe {
  /** Probability that an activation belongs to the dangerous class. */
  double risk(double[] activation);

  /** How many numbers an activation has. */
  int width();

  /** Its numbers by name, each a matrix. */
  Map<String, double[][]> parameters();
}
