package io.holdfast.risk;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import java.util.AbstractList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.RandomAccess;
import java.util.SplittableRandom;

/**
 * The risk of the rows of a run, on its way from the source to the guards.
 *
 * <p>A moving average over steps may take a share m of it:
 *
 * <pre>
 * s'_i = m A + (1 - m) s_i      for each row i of a step
 * A   <- m A + (1 - m) mean(s)  after it; before the first step s' = s, after it A = mean(s)
 * </pre>
 *
 * so that with one row a step s' is the exponential moving average of Goel et al. 2026, and with
 * several rows its mean is, while rows of one step keep their differences.
 */
public final class RowRisks {
  private final double smoothing;
  private final Optional<Assessor> assessor;
  private final Optional<RiskPredictor> predictor;
  private double average = Double.NaN;
  private double sum;
  private long count;

  /** Gives rows a risk just before they are learnt. */
  @FunctionalInterface
  public interface Assessor {
    /** The risk of each of the rows. */
    float[] assess(List<Example> rows);

    /** How many rows could not be assessed so far and count as high risk. */
    default long failed() {
      return 0;
    }
  }

  private RowRisks(
      double smoothing, Optional<Assessor> assessor, Optional<RiskPredictor> predictor) {
    this.smoothing = smoothing;
    this.assessor = assessor;
    this.predictor = predictor;
  }

  /**
   * Risks that the rows bring with them.
   *
   * @param smoothing m, in [0, 1); 0 leaves every risk as it is
   */
  public RowRisks(double smoothing) {
    this(smoothing, Optional.empty(), Optional.empty());
  }

  /** Risks that are asked for as the rows are about to be learnt. */
  public RowRisks(double smoothing, Assessor assessor) {
    this(smoothing, Optional.of(assessor), Optional.empty());
  }

  /** Risks that are read on the way of the forward pass in training. */
  public RowRisks(double smoothing, RiskPredictor predictor) {
    this(smoothing, Optional.empty(), Optional.of(predictor));
  }

  /** These rows with these risks, one each. */
  public static List<Example> with(List<Example> examples, float[] risks) {
    return new WithRisk(examples, risks);
  }

  /** The risks in an order drawn by a seed: the control of any source. */
  public static float[] shuffled(float[] risks, long seed) {
    var shuffled = risks.clone();
    var random = new SplittableRandom(seed);
    for (int i = shuffled.length - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      float swapped = shuffled[i];
      shuffled[i] = shuffled[j];
      shuffled[j] = swapped;
    }
    return shuffled;
  }

  /**
   * The rows of a step, by micro-batch, with the risk by which guards weigh them; without one where
   * it is read in the pass.
   */
  public List<List<Example>> assess(List<List<Example>> window) {
    if (predictor.isPresent()) {
      return window;
    }
    var rows = window.stream().flatMap(List::stream).toList();
    var risky = assessor.map(source -> with(rows, source.assess(rows))).orElse(rows);
    var next = risky.stream().map(this::smoothed).iterator();
    return window.stream().map(own -> own.stream().map(_ -> next.next()).toList()).toList();
  }

  /** What a forward pass over a batch must be shown for its risks, if they are read in the pass. */
  public Optional<RiskReading> reading(Batch batch) {
    return predictor.map(own -> new RiskReading(own, batch));
  }

  /** The rows of a batch with the risks that a pass has read. */
  public List<Example> read(Batch batch, RiskReading reading) {
    return with(batch.examples(), reading.risks()).stream().map(this::smoothed).toList();
  }

  private Example smoothed(Example row) {
    float risk = row.risk();
    if (Float.isNaN(risk)) {
      return row;
    }
    sum += risk;
    count++;
    return smoothing == 0 || Double.isNaN(average)
        ? row
        : row.withRisk((float) (smoothing * average + (1 - smoothing) * risk));
  }

  /**
   * Ends a step.
   *
   * @return for {@code metrics.jsonl}: {@code risk}, the mean of its rows before smoothing, and
   *     {@code risk_failed}, the rows so far that could not be assessed
   */
  public Map<String, Double> endStep() {
    var terms = new LinkedHashMap<String, Double>();
    if (count > 0) {
      double mean = sum / count;
      average = Double.isNaN(average) ? mean : smoothing * average + (1 - smoothing) * mean;
      terms.put("risk", mean);
    }
    assessor.ifPresent(source -> terms.put("risk_failed", (double) source.failed()));
    sum = 0;
    count = 0;
    return terms;
  }

  /** The moving average, NaN before the first step: all that a resumed run must know. */
  public double average() {
    return average;
  }

  /** Goes on with the moving average of a checkpoint. */
  public void resume(double from) {
    average = from;
  }

  private static final class WithRisk extends AbstractList<Example> implements RandomAccess {
    private final List<Example> examples;
    private final float[] risks;

    WithRisk(List<Example> examples, float[] risks) {
      if (examples.size() != risks.length) {
        throw new IllegalArgumentException(
            "%d rows but %d risks".formatted(examples.size(), risks.length));
      }
      this.examples = examples;
      this.risks = risks;
    }

    @Override
    public Example get(int i) {
      return examples.get(i).withRisk(risks[i]);
    }

    @Override
    public int size() {
      return risks.length;
    }
  }
}
