package io.holdfast.risk;

import io.holdfast.data.Example;
import java.util.AbstractList;
import java.util.List;
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
  private double average = Double.NaN;
  private double sum;
  private long count;

  /**
   * Risks that the rows bring with them.
   *
   * @param smoothing m, in [0, 1); 0 leaves every risk as it is
   */
  public RowRisks(double smoothing) {
    this.smoothing = smoothing;
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

  /** The rows of a step, by micro-batch, with the risk by which guards weigh them. */
  public List<List<Example>> assess(List<List<Example>> window) {
    return window.stream().map(rows -> rows.stream().map(this::smoothed).toList()).toList();
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
   * @return the mean risk of its rows before smoothing; NaN if none had any
   */
  public double endStep() {
    double mean = sum / count;
    if (count > 0) {
      average = Double.isNaN(average) ? mean : smoothing * average + (1 - smoothing) * mean;
    }
    sum = 0;
    count = 0;
    return mean;
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
