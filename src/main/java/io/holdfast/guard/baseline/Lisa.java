package io.holdfast.guard.baseline;

import io.holdfast.data.Example;
import io.holdfast.guard.Guard;
import io.holdfast.guard.Tuning;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;

/**
 * Lisa (Huang et al. 2024, "Lazy Safety Alignment against Harmful Fine-tuning", algorithm 1): turns
 * of alignment steps, on safety rows, and of steps on the user's own, each pulled to the weights
 * {@code w_switch} at which its turn began by {@code rho/2 ||w - w_switch||^2}, after the first
 * tenth of the run. Reimplementation from public description.
 */
public final class Lisa implements Guard {
  /** The share of a run that is not pulled, as in the authors' code. */
  private static final double FREE = 0.1;

  private final OwnRows rows;
  private final int alignmentSteps;
  private final int userSteps;
  private final double rho;
  private Tuning tuning;
  private Snapshot turn;

  /**
   * Turns.
   *
   * @param alignmentSteps of one turn; a run begins with them
   * @param userSteps of one turn
   * @param rho strength of the pull
   */
  public Lisa(OwnRows rows, int alignmentSteps, int userSteps, double rho) {
    this.rows = rows;
    this.alignmentSteps = alignmentSteps;
    this.userSteps = userSteps;
    this.rho = rho;
  }

  @Override
  public String name() {
    return "Lisa, %d alignment and %d user steps in turn, rho = %s"
        .formatted(alignmentSteps, userSteps, rho);
  }

  @Override
  public void begin(Tuning run) {
    tuning = run;
    turn = new Snapshot(run.parameters());
  }

  private long within(long step) {
    return step % (alignmentSteps + userSteps);
  }

  @Override
  public List<Example> rows(long step, int micro, List<Example> own) {
    return within(step) < alignmentSteps ? rows.draw(step, micro, own.size()) : own;
  }

  @Override
  public void beforeUpdate() {
    long step = tuning.steps();
    if (within(step) == 0 || within(step) == alignmentSteps) {
      turn.renew(tuning.parameters());
    }
    if (step >= FREE * tuning.plannedSteps()) {
      turn.pull(tuning.parameters(), null, rho);
    }
  }

  @Override
  public Map<String, Tensor> state() {
    return turn.all();
  }

  @Override
  public void close() {
    if (turn != null) {
      turn.close();
    }
  }
}
