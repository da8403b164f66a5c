package io.holdfast.guard.baseline;

import io.holdfast.data.Example;
import io.holdfast.guard.Guard;
import java.util.ArrayList;
import java.util.List;

/**
 * Safety-data mixing (Bianchi et al. 2023, "Safety-Tuned LLaMAs"): rows with safe answers join
 * every micro-batch and are learnt like the others. Reimplementation from public description.
 */
public final class Replay implements Guard {
  private final OwnRows rows;
  private final int count;

  /**
   * A mixture.
   *
   * @param count rows that join a micro-batch
   */
  public Replay(OwnRows rows, int count) {
    this.rows = rows;
    this.count = count;
  }

  @Override
  public String name() {
    return "safety-data mixing, %d rows a micro-batch".formatted(count);
  }

  @Override
  public List<Example> rows(long step, int micro, List<Example> own) {
    var mixed = new ArrayList<>(own);
    mixed.addAll(rows.draw(step, micro, count));
    return mixed;
  }
}
