package io.holdfast.train;

import io.holdfast.data.ExampleReader;
import io.holdfast.guard.Guard;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.guard.baseline.Antidote;
import io.holdfast.guard.baseline.Booster;
import io.holdfast.guard.baseline.CircuitBreakers;
import io.holdfast.guard.baseline.ElasticWeights;
import io.holdfast.guard.baseline.FrozenLayers;
import io.holdfast.guard.baseline.GradientProjection;
import io.holdfast.guard.baseline.Lisa;
import io.holdfast.guard.baseline.OwnRows;
import io.holdfast.guard.baseline.PullToStart;
import io.holdfast.guard.baseline.RepNoise;
import io.holdfast.guard.baseline.Replay;
import io.holdfast.guard.baseline.SaLora;
import io.holdfast.guard.baseline.SafeLora;
import io.holdfast.guard.baseline.Vaccine;
import io.holdfast.train.config.Baseline;
import java.nio.file.Path;
import java.util.List;

/**
 * From an entry of {@code guard.baselines} to the method.
 *
 * @param reader of its rows
 * @param modelHash of the model that is trained
 * @param batchSize rows of a micro-batch, its own as the run's
 * @param seed of the order of its own rows
 */
record BaselineAssembly(ExampleReader reader, String modelHash, int batchSize, long seed) {
  Guard guard(Baseline baseline) {
    return switch (baseline) {
      case Baseline.L2(double weight) -> new PullToStart(weight);
      case Baseline.Ewc(double weight, Path data) -> new ElasticWeights(weight, rows(data));
      case Baseline.Replay(Path data, int count) -> new Replay(rows(data), count);
      case Baseline.FrozenLayers(int first, int last) -> new FrozenLayers(first, last);
      case Baseline.GradientProjection(Path basis) ->
          new GradientProjection(SafetySubspace.load(basis, modelHash));
      case Baseline.SafeLora safe ->
          new SafeLora(safe.unaligned(), safe.threshold(), safe.modules());
      case Baseline.SaLora(Path data, int rank) -> new SaLora(rows(data), rank);
      case Baseline.Vaccine(double rho) -> new Vaccine(rho);
      case Baseline.Lisa lisa ->
          new Lisa(rows(lisa.data()), lisa.alignmentSteps(), lisa.userSteps(), lisa.rho());
      case Baseline.Booster(Path data, double lambda, double alpha) ->
          new Booster(rows(data), batchSize, lambda, alpha);
      case Baseline.Antidote(Path data, double share) -> new Antidote(rows(data), share);
      case Baseline.CircuitBreakers(Path data, List<Integer> layers, double strength, int steps) ->
          new CircuitBreakers(rows(data), batchSize, layers, strength, steps);
      case Baseline.RepNoise(Path data, double alpha, double beta) ->
          new RepNoise(rows(data), batchSize, alpha, beta);
    };
  }

  private OwnRows rows(Path file) {
    return new OwnRows(reader.read(List.of(file)).examples(), seed + 2);
  }
}
