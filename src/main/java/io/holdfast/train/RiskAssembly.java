package io.holdfast.train;

import io.holdfast.data.Example;
import io.holdfast.risk.RowRisks;
import io.holdfast.train.config.GuardConfig;
import io.holdfast.train.config.GuardConfig.RiskControl;
import io.holdfast.train.config.RiskConfig;
import java.util.List;
import java.util.Optional;

/** From the risk of a configuration to rows that have one. */
final class RiskAssembly {
  private final GuardConfig guard;
  private final long seed;

  RiskAssembly(GuardConfig guard, long seed) {
    this.guard = guard;
    this.seed = seed;
  }

  /** The rows, with their risk where it is known before training. */
  List<Example> rows(List<Example> examples) {
    if (guard.riskSource().isEmpty()) {
      return examples;
    }
    var risky = known(guard.riskSource().get(), examples);
    if (guard.riskControl().equals(Optional.of(RiskControl.SHUFFLED))) {
      var risks = new float[risky.size()];
      for (int i = 0; i < risks.length; i++) {
        risks[i] = risky.get(i).risk();
      }
      return RowRisks.with(examples, RowRisks.shuffled(risks, seed));
    }
    return risky;
  }

  private static List<Example> known(RiskConfig source, List<Example> examples) {
    return switch (source) {
      case RiskConfig.Recorded _ -> examples;
      case RiskConfig.Constant(double value) -> {
        var risks = new float[examples.size()];
        java.util.Arrays.fill(risks, (float) value);
        yield RowRisks.with(examples, risks);
      }
    };
  }

  /** What happens to the risks on the way to the guards. */
  RowRisks flow() {
    return new RowRisks(guard.riskSmoothing());
  }

  /** The source in words, for the manifest. */
  Optional<String> name() {
    return guard
        .riskSource()
        .map(
            source ->
                switch (source) {
                  case RiskConfig.Recorded(String column) -> "recorded as " + column;
                  case RiskConfig.Constant(double value) -> "constant " + value;
                })
        .map(name -> name + (guard.riskControl().isPresent() ? ", shuffled" : ""))
        .map(
            name ->
                guard.riskSmoothing() == 0
                    ? name
                    : name + ", moving average " + guard.riskSmoothing());
  }
}
