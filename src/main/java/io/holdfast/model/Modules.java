package io.holdfast.model;

import java.util.LinkedHashMap;
import java.util.SequencedMap;

/** Makes the modules of a decoder from weights, and keeps a list of its linear maps. */
final class Modules {
  private final Architecture architecture;
  private final Weights weights;
  private final SequencedMap<String, Projection> projections = new LinkedHashMap<>();

  Modules(Architecture architecture, Weights weights) {
    this.architecture = architecture;
    this.weights = weights;
  }

  /** Every linear map so far by its module name, in the order of the forward pass. */
  SequencedMap<String, Projection> projections() {
    return projections;
  }

  Norm norm(String name) {
    return new Norm(weights.get(name), architecture.norms());
  }

  Projection[] projections(String prefix, boolean biased, String... names) {
    var made = new Projection[names.length];
    for (int i = 0; i < names.length; i++) {
      made[i] = projection(prefix + names[i], biased);
    }
    return made;
  }

  Projection projection(String module, boolean biased) {
    var made =
        new Projection(
            module, weights.get(module + ".weight"), biased ? weights.get(module + ".bias") : null);
    projections.put(module, made);
    return made;
  }
}
