package io.holdfast.geometry;

import io.holdfast.model.Decoder;
import io.holdfast.torch.Scope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.DoubleStream;

/**
 * Refusal directions and cones found by gradient descent (Wollschläger et al. 2025): a direction,
 * or an orthonormal basis whose positive combinations all do what a refusal direction does. In
 * every step the loss is that of the basis vectors, on average, and beside it that of random points
 * of the sphere's section between them. A cone is grown from two vectors on, each time from the
 * best basis so far and one new random vector.
 */
public final class ConeTraining {
  private final ConeLoss loss;
  private final int width;
  private final List<ConeRow> rows;
  private final Settings settings;
  private final Random random;
  private final List<Step> steps = new ArrayList<>();

  /**
   * How directions are trained.
   *
   * @param rank vectors of the basis; 1 for a single direction
   * @param rate of learning, a tenth of it after {@code patience} steps without a smaller loss
   * @param batch rows of a step
   * @param epochs passes over the rows for each size of the basis
   * @param samples random points of the cone a step
   * @param patience steps
   * @param reductions of the rate, after which training ends
   * @param seed of the start, the order of rows, and the points
   */
  public record Settings(
      int rank,
      double rate,
      int batch,
      int epochs,
      int samples,
      int patience,
      int reductions,
      long seed) {
    /** The authors'. */
    public static final Settings PAPER = new Settings(1, 1e-2, 16, 1, 8, 5, 2, 1);
  }

  /**
   * One step.
   *
   * @param rank vectors that were trained
   * @param loss the weighted sum of the terms, of basis vectors and points together
   * @param ablation cross entropy of answers with the directions ablated
   * @param addition cross entropy of refusals with them added
   * @param retain divergence on benign prompts with them ablated
   * @param rate of learning
   */
  public record Step(
      int rank, double loss, double ablation, double addition, double retain, double rate) {}

  /**
   * What came of it.
   *
   * @param basis with the smallest loss
   * @param steps all of them
   */
  public record Result(Basis basis, List<Step> steps) {}

  private ConeTraining(ConeLoss loss, int width, List<ConeRow> rows, Settings settings) {
    this.loss = loss;
    this.width = width;
    this.rows = rows;
    this.settings = settings;
    this.random = new Random(settings.seed());
  }

  /**
   * Trains directions of one model, which stays as it is.
   *
   * @param slot at which directions are added
   * @param length with which they are
   * @param start first vector; random if not given
   * @param watch is told of each step
   */
  public static Result run(
      Decoder model,
      int slot,
      double length,
      List<ConeRow> rows,
      Optional<double[]> start,
      Settings settings,
      Consumer<Step> watch) {
    var loss = new ConeLoss(model, slot, length, ConeLoss.Weights.PAPER);
    int width = model.architecture().hidden();
    return new ConeTraining(loss, width, rows, settings).grow(start, watch);
  }

  /** How many steps there are at most. */
  public static int steps(Settings settings, int rows) {
    int sizes = Math.max(1, settings.rank() - 1);
    return sizes * settings.epochs() * (rows / Math.min(settings.batch(), rows));
  }

  private Result grow(Optional<double[]> start, Consumer<Step> watch) {
    var directions = new ArrayList<double[]>();
    start.ifPresent(directions::add);
    for (int rank = Math.min(2, settings.rank()); rank <= settings.rank(); rank++) {
      while (directions.size() < rank) {
        directions.add(gaussian(width));
      }
      var best = descend(Basis.span(directions), watch);
      directions.clear();
      directions.addAll(List.of(best.vectors()));
    }
    return new Result(Basis.span(directions), List.copyOf(steps));
  }

  /** Trains a basis of one size; returns the one with the smallest loss. */
  private Basis descend(Basis start, Consumer<Step> watch) {
    var moving = new ConeBasis(start);
    var best = start;
    double lowest = Double.POSITIVE_INFINITY;
    double rate = settings.rate();
    int batch = Math.min(settings.batch(), rows.size());
    int patience = 0;
    int reductions = 0;
    for (int epoch = 0; epoch < settings.epochs(); epoch++) {
      var order = new ArrayList<>(rows);
      Collections.shuffle(order, random);
      for (int from = 0; from + batch <= order.size(); from += batch) {
        var here = moving.basis();
        var step = step(moving, order.subList(from, from + batch), rate);
        steps.add(step);
        watch.accept(step);
        patience++;
        if (step.loss() < lowest) {
          lowest = step.loss();
          best = here;
          patience = 0;
        }
        if (patience == settings.patience()) {
          if (reductions++ == settings.reductions()) {
            return best;
          }
          rate /= 10;
          patience = 0;
        }
      }
    }
    return best;
  }

  private Step step(ConeBasis moving, List<ConeRow> batch, double rate) {
    int rank = moving.basis().rank();
    try (var scope = Scope.open()) {
      var leaf = moving.leaf();
      var sum = new ConeLoss.Terms(0, 0, 0);
      for (int i = 0; i < rank; i++) {
        var axis = new double[rank];
        axis[i] = 1;
        sum = sum.plus(1.0 / rank, loss.addGradient(leaf, axis, batch, 1.0 / rank));
      }
      int samples = rank == 1 ? 0 : settings.samples();
      for (int i = 0; i < samples; i++) {
        double share = 1.0 / samples;
        sum = sum.plus(share, loss.addGradient(leaf, point(rank), batch, share));
      }
      moving.step(leaf.grad(), rate);
      double total = sum.total(ConeLoss.Weights.PAPER);
      return new Step(rank, total, sum.ablation(), sum.addition(), sum.retain(), rate);
    }
  }

  /** A random point of the sphere's section where no coordinate is negative. */
  private double[] point(int rank) {
    double[] drawn = Arrays.stream(gaussian(rank)).map(Math::abs).toArray();
    double norm = Vectors.norm(drawn);
    return Arrays.stream(drawn).map(x -> x / norm).toArray();
  }

  private double[] gaussian(int size) {
    return DoubleStream.generate(random::nextGaussian).limit(size).toArray();
  }
}
