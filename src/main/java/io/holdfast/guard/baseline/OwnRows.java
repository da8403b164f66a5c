package io.holdfast.guard.baseline;

import io.holdfast.data.DataOrder;
import io.holdfast.data.Example;
import java.util.Arrays;
import java.util.List;

/** Rows of a method's own, drawn in an order that a resumed run draws again. */
public final class OwnRows {
  private static final int MICRO_BATCHES = 64;

  private final List<Example> rows;
  private final DataOrder order;

  /** Rows, at least one. */
  public OwnRows(List<Example> rows, long seed) {
    this.rows = rows;
    this.order = new DataOrder(seed, true, rows.size());
  }

  /** All of them. */
  List<Example> all() {
    return rows;
  }

  /** So many for a micro-batch of a step. */
  List<Example> draw(long step, int micro, int count) {
    long from = (step * MICRO_BATCHES + micro) * count;
    return Arrays.stream(order.indices(from, count)).mapToObj(rows::get).toList();
  }
}
