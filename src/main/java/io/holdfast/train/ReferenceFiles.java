package io.holdfast.train;

import io.holdfast.checkpoint.Sha256;
import io.holdfast.data.Example;
import io.holdfast.guard.Guard;
import io.holdfast.guard.TokenConstraint;
import io.holdfast.train.config.GuardConfig;
import io.holdfast.train.config.GuardConfig.ReferenceFrom;
import io.holdfast.train.config.TrainConfig;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * What the reference says of the rows of a run, computed once and kept: in the folder that runs
 * share ({@code data.cache}), else in the run's own.
 */
record ReferenceFiles(TrainConfig config, Reference reference, String modelHash, String dataHash) {
  /** What the KL guard compares with: the reference itself, or its last hidden states. */
  ReferenceStates states(List<Example> rows, List<Example> anchors) {
    boolean cached =
        config
            .guard()
            .kl()
            .map(GuardConfig.Kl::reference)
            .equals(Optional.of(ReferenceFrom.CACHED));
    if (!cached) {
      return reference;
    }
    var key = key("last hidden states") + anchorsKey();
    var all = GuardAssembly.joined(rows, anchors);
    return CachedReference.of(file(key, "reference-states"), key, all, reference);
  }

  /** The constraint of single tokens, if there is one. */
  Optional<Guard> tokenConstraint(List<Example> rows) {
    var key = key("log-probabilities");
    return config
        .guard()
        .tokenConstraint()
        .map(
            constraint ->
                new TokenConstraint(
                    constraint.settings(),
                    TokenConstraint.logProbabilities(
                        file(key, "reference-log-probabilities"), key, rows, reference.decoder())));
  }

  private String key(String what) {
    return "%s of %s in %s; %s"
        .formatted(what, modelHash, config.precision(), TrainingData.key(config, dataHash));
  }

  private String anchorsKey() {
    return config.guard().anchors().map(file -> ", anchors " + Sha256.of(List.of(file))).orElse("");
  }

  private Path file(String key, String name) {
    return TrainingData.shared(config, key, "." + name + ".safetensors")
        .orElse(config.output().resolve("guard").resolve(name + ".safetensors"));
  }
}
