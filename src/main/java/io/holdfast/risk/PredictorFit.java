package io.holdfast.risk;

import io.holdfast.HoldfastException;
import io.holdfast.data.Example;
import io.holdfast.geometry.Estimate;
import io.holdfast.geometry.PromptActivations;
import io.holdfast.model.Decoder;
import io.holdfast.text.Position;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Fits a {@link RiskPredictor}: layer, position, ridge and kind of classifier are chosen by
 * cross-validation on one part of the prompts, and what is reported is measured on the other, which
 * no choice has seen.
 */
public final class PredictorFit {
  private static final List<Double> RIDGES = List.of(1e-2, 1e-1, 1.0);
  private static final int NETWORKS = 3;
  private static final int DRAWS = 1000;
  private static final int BINS = 10;

  /**
   * What is tried and how it is tested.
   *
   * @param layers slots of the residual stream
   * @param positions {@link Position#INSTRUCTION_END}, {@link Position#PROMPT_END} or both
   * @param folds of the cross-validation
   * @param testShare of the prompts that only the report sees, in (0, 1)
   * @param recall that the threshold shall have, in (0, 1]
   * @param shuffles fits with shuffled labels, the control
   * @param seed of splits, networks, draws and shuffles
   */
  public record Settings(
      List<Integer> layers,
      List<Position> positions,
      int folds,
      double testShare,
      double recall,
      int shuffles,
      long seed) {
    /** Checks the ranges. */
    public Settings {
      if (folds < 2) {
        throw HoldfastException.usage("--folds must be at least 2, is %d", folds);
      }
      if (!(testShare > 0 && testShare < 1)) {
        throw HoldfastException.usage("--test-share must be in (0, 1), is %s", testShare);
      }
      if (!(recall > 0 && recall <= 1)) {
        throw HoldfastException.usage("--recall must be in (0, 1], is %s", recall);
      }
      if (shuffles < 1) {
        throw HoldfastException.usage("--shuffles must be at least 1, is %d", shuffles);
      }
    }
  }

  /**
   * One way of reading risk, and how it did in cross-validation.
   *
   * @param kind {@code logistic} or {@code mlp}
   * @param ridge of the weights
   * @param auroc mean over the folds
   * @param logLoss mean over the folds
   */
  public record Candidate(
      int layer, Position position, String kind, double ridge, double auroc, double logLoss) {
    Classifier fit(double[][] dangerous, double[][] harmless, long seed) {
      return kind.equals("mlp")
          ? MlpProbe.fit(dangerous, harmless, new MlpProbe.Settings(16, ridge, 1e-2, 300, seed))
          : LogisticProbe.fit(dangerous, harmless, ridge);
    }
  }

  /**
   * What was found.
   *
   * @param chosen of the candidates
   * @param candidates all that were tried, the best first
   * @param trained prompts of each class that the predictor was fitted to: dangerous, harmless
   * @param tested prompts of each class that the rest was measured on
   * @param auroc with its 95 % interval
   * @param calibrationError with its 95 % interval
   * @param reliability table
   * @param threshold at which the wanted recall was reached in cross-validation
   * @param recall of that threshold, with its 95 % interval
   * @param falsePositives the share of harmless prompts beyond it, with its 95 % interval
   * @param shuffledAuroc mean over fits with shuffled labels: 0.5 but for chance
   * @param shuffledHighest the greatest of them
   */
  public record Report(
      Candidate chosen,
      List<Candidate> candidates,
      int[] trained,
      int[] tested,
      Estimate auroc,
      Estimate calibrationError,
      List<Discrimination.Bin> reliability,
      double threshold,
      Estimate recall,
      Estimate falsePositives,
      double shuffledAuroc,
      double shuffledHighest) {}

  /** A predictor and what is known of it. */
  public record Result(RiskPredictor predictor, Report report) {}

  /** Where states were read: a layer and a position. */
  private record Place(int layer, Position position) {}

  /** The states of both classes at one place. */
  private record States(double[][] dangerous, double[][] harmless) {
    States rows(int[] some, int[] others) {
      return new States(pick(dangerous, some), pick(harmless, others));
    }

    private static double[][] pick(double[][] rows, int[] numbers) {
      return Arrays.stream(numbers).mapToObj(i -> rows[i]).toArray(double[][]::new);
    }
  }

  /** Which prompts of each class belong together. */
  private record Split(int[] dangerous, int[] harmless) {}

  private final Settings settings;
  private final Map<Place, States> states = new LinkedHashMap<>();
  private final Split training;
  private final Split test;

  private PredictorFit(
      Decoder model, List<Example> dangerous, List<Example> harmless, Settings settings) {
    this.settings = settings;
    for (var position : settings.positions()) {
      var some = capture(model, dangerous, position);
      var others = capture(model, harmless, position);
      for (int layer : settings.layers()) {
        states.put(new Place(layer, position), new States(some.at(layer), others.at(layer)));
      }
    }
    var random = new SplittableRandom(settings.seed());
    int[] some = shuffled(dangerous.size(), random);
    int[] others = shuffled(harmless.size(), random);
    int testSome = held(some.length);
    int testOthers = held(others.length);
    this.test = new Split(Arrays.copyOf(some, testSome), Arrays.copyOf(others, testOthers));
    this.training =
        new Split(
            Arrays.copyOfRange(some, testSome, some.length),
            Arrays.copyOfRange(others, testOthers, others.length));
  }

  /**
   * Fits a predictor.
   *
   * @param dangerous prompts that should be refused
   * @param harmless prompts that should be answered
   * @param modelHash of the model
   * @throws HoldfastException if there are too few prompts, or a state is not finite
   */
  public static Result fit(
      Decoder model,
      List<Example> dangerous,
      List<Example> harmless,
      Settings settings,
      String modelHash) {
    for (var rows : List.of(dangerous, harmless)) {
      int left = rows.size() - (int) Math.max(1, Math.round(settings.testShare() * rows.size()));
      if (left < settings.folds()) {
        throw HoldfastException.input(
            "%s: %d prompts leave %d after the test's share (--test-share %s), fewer than --folds"
                + " %d; give more prompts or ask for fewer folds",
            rows.isEmpty() ? "the prompts" : rows.getFirst().place().file(),
            rows.size(),
            Math.max(0, left),
            settings.testShare(),
            settings.folds());
      }
    }
    return new PredictorFit(model, dangerous, harmless, settings).result(modelHash);
  }

  private PromptActivations capture(Decoder model, List<Example> prompts, Position position) {
    var captured =
        PromptActivations.capture(
            model,
            prompts,
            settings.layers(),
            position == Position.PROMPT_END ? Example::promptEnd : Example::instructionEnd);
    for (int layer : settings.layers()) {
      for (int i = 0; i < prompts.size(); i++) {
        RiskPredictor.requireFinite(captured.at(layer)[i], prompts.get(i), layer);
      }
    }
    return captured;
  }

  private int held(int rows) {
    return (int) Math.max(1, Math.round(settings.testShare() * rows));
  }

  private static int[] shuffled(int size, SplittableRandom random) {
    int[] order = IntStream.range(0, size).toArray();
    for (int i = size - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int swapped = order[i];
      order[i] = order[j];
      order[j] = swapped;
    }
    return order;
  }

  private Result result(String modelHash) {
    var candidates = new ArrayList<>(linear());
    candidates.sort(BEST);
    candidates.stream()
        .map(candidate -> new Place(candidate.layer(), candidate.position()))
        .distinct()
        .limit(NETWORKS)
        .map(place -> tried(place, "mlp", MlpProbe.Settings.SMALL.decay()))
        .toList()
        .forEach(candidates::add);
    candidates.sort(BEST);
    var chosen = candidates.getFirst();
    var here = states.get(new Place(chosen.layer(), chosen.position()));
    var fitted = here.rows(training.dangerous(), training.harmless());
    var classifier = chosen.fit(fitted.dangerous(), fitted.harmless(), settings.seed());
    double threshold = Discrimination.threshold(outOfFold(chosen, fitted), settings.recall());
    var predictor =
        new RiskPredictor(
            modelHash, chosen.layer(), chosen.position(), classifier, threshold, false);
    return new Result(predictor, report(candidates, here, classifier, threshold));
  }

  /** The higher area first; where it is the same, the lower loss, which tells on. */
  private static final Comparator<Candidate> BEST =
      Comparator.comparingDouble(Candidate::auroc)
          .reversed()
          .thenComparingDouble(Candidate::logLoss);

  private List<Candidate> linear() {
    return states.keySet().stream()
        .flatMap(place -> RIDGES.stream().map(ridge -> tried(place, "logistic", ridge)))
        .toList();
  }

  private Candidate tried(Place place, String kind, double ridge) {
    var candidate = new Candidate(place.layer(), place.position(), kind, ridge, 0, 0);
    var here = states.get(place).rows(training.dangerous(), training.harmless());
    double auroc = 0;
    double loss = 0;
    for (int fold = 0; fold < settings.folds(); fold++) {
      var classifier = fitted(candidate, here, fold);
      double[] some = risks(classifier, fold(here.dangerous(), fold, true));
      double[] others = risks(classifier, fold(here.harmless(), fold, true));
      auroc += Discrimination.auroc(some, others) / settings.folds();
      loss += Discrimination.logLoss(some, others) / settings.folds();
    }
    return new Candidate(place.layer(), place.position(), kind, ridge, auroc, loss);
  }

  private Classifier fitted(Candidate candidate, States here, int fold) {
    return candidate.fit(
        fold(here.dangerous(), fold, false), fold(here.harmless(), fold, false), settings.seed());
  }

  /** The rows of a fold, or all others; rows are in random order already. */
  private double[][] fold(double[][] rows, int fold, boolean inside) {
    return IntStream.range(0, rows.length)
        .filter(i -> (i % settings.folds() == fold) == inside)
        .mapToObj(i -> rows[i])
        .toArray(double[][]::new);
  }

  /** The probabilities of the dangerous rows by classifiers that have not seen them. */
  private double[] outOfFold(Candidate chosen, States fitted) {
    return IntStream.range(0, settings.folds())
        .mapToObj(fold -> risks(fitted(chosen, fitted, fold), fold(fitted.dangerous(), fold, true)))
        .flatMapToDouble(Arrays::stream)
        .toArray();
  }

  private static double[] risks(Classifier classifier, double[][] rows) {
    return Arrays.stream(rows).mapToDouble(classifier::risk).toArray();
  }

  private Report report(
      List<Candidate> candidates, States here, Classifier classifier, double threshold) {
    var tested = here.rows(test.dangerous(), test.harmless());
    double[] some = risks(classifier, tested.dangerous());
    double[] others = risks(classifier, tested.harmless());
    var chosen = candidates.getFirst();
    double[] control = control(chosen, here);
    return new Report(
        chosen,
        List.copyOf(candidates),
        new int[] {training.dangerous().length, training.harmless().length},
        new int[] {some.length, others.length},
        bootstrap(some, others, Discrimination::auroc),
        bootstrap(some, others, (a, b) -> Discrimination.calibrationError(a, b, BINS)),
        Discrimination.reliability(some, others, BINS),
        threshold,
        bootstrap(some, others, (a, _) -> Discrimination.share(a, threshold)),
        bootstrap(some, others, (_, b) -> Discrimination.share(b, threshold)),
        Arrays.stream(control).average().orElseThrow(),
        Arrays.stream(control).max().orElseThrow());
  }

  @FunctionalInterface
  private interface Statistic {
    double of(double[] dangerous, double[] harmless);
  }

  /** Resamples the rows of both classes together. */
  private Estimate bootstrap(double[] some, double[] others, Statistic statistic) {
    return Estimate.bootstrap(
        some.length + others.length,
        indices ->
            statistic.of(
                Arrays.stream(indices)
                    .filter(i -> i < some.length)
                    .mapToDouble(i -> some[i])
                    .toArray(),
                Arrays.stream(indices)
                    .filter(i -> i >= some.length)
                    .mapToDouble(i -> others[i - some.length])
                    .toArray()),
        DRAWS,
        0.95,
        settings.seed());
  }

  /** The area on the test when all labels are dealt out anew, in each of several deals. */
  private double[] control(Candidate chosen, States here) {
    var random = new SplittableRandom(settings.seed() + 1);
    return IntStream.range(0, settings.shuffles())
        .mapToDouble(
            _ -> {
              var fitted = dealt(here.rows(training.dangerous(), training.harmless()), random);
              var tested = dealt(here.rows(test.dangerous(), test.harmless()), random);
              var classifier = chosen.fit(fitted.dangerous(), fitted.harmless(), settings.seed());
              return Discrimination.auroc(
                  risks(classifier, tested.dangerous()), risks(classifier, tested.harmless()));
            })
        .toArray();
  }

  private static States dealt(States states, SplittableRandom random) {
    var all = new ArrayList<>(List.of(states.dangerous()));
    all.addAll(List.of(states.harmless()));
    int[] order = shuffled(all.size(), random);
    var rows = Arrays.stream(order).mapToObj(all::get).toArray(double[][]::new);
    return new States(
        Arrays.copyOf(rows, states.dangerous().length),
        Arrays.copyOfRange(rows, states.dangerous().length, rows.length));
  }
}
