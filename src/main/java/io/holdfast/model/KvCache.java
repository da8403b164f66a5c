package io.holdfast.model;

import io.holdfast.kernels.DType;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/**
 * Keys and values of the tokens that a batch has seen, so that decoding reads them only once. A
 * layer with a sliding window keeps what its window can still reach.
 */
public final class KvCache implements AutoCloseable {
  private final TensorOwner owner = new TensorOwner();
  private final List<Store> stores = new ArrayList<>();
  private final int capacity;
  private int rows;
  private int length;

  /**
   * An empty cache.
   *
   * @param architecture of the model
   * @param dtype of its hidden states
   * @param batch sequences decoded together
   * @param capacity tokens it can hold for each
   */
  public KvCache(Architecture architecture, DType dtype, int batch, int capacity) {
    this(architecture, dtype, batch, capacity, true);
  }

  private KvCache(Architecture architecture, DType dtype, int batch, int capacity, boolean slides) {
    this.rows = batch;
    this.capacity = capacity;
    for (var layer : architecture.layers()) {
      // Twice the window: what slides out is dropped once a window, not once a token.
      int held = slides && layer.window() > 0 ? Math.min(capacity, 2 * layer.window()) : capacity;
      long[] shape = {batch, architecture.kvHeads(), held, architecture.headDim()};
      var type = Tensors.scalarType(dtype);
      // Memory that no token has touched is not resident.
      stores.add(
          new Store(
              layer.window(),
              owner.own(Tensors.empty(type, shape)),
              owner.own(Tensors.empty(type, shape))));
    }
  }

  /** An empty cache that can {@linkplain #rewind go back}: windows drop nothing. */
  static KvCache rewindable(Architecture architecture, DType dtype, int batch, int capacity) {
    return new KvCache(architecture, dtype, batch, capacity, false);
  }

  /** Tokens seen so far. */
  public int length() {
    return length;
  }

  /**
   * What a layer sees: the last tokens seen, new ones included, {@code [batch, kvHeads, columns,
   * headDim]}.
   */
  record Seen(Tensor keys, Tensor values) {}

  /** Appends {@code [batch, kvHeads, time, headDim]} to a layer. */
  Seen append(int layer, Tensor keys, Tensor values) {
    if (length + keys.size(2) > capacity) {
      throw new IllegalStateException(
          "the cache holds %d tokens, %d are too many".formatted(capacity, length + keys.size(2)));
    }
    return stores.get(layer).append(rows, keys, values);
  }

  /** Takes a sequence out of the batch; the last one takes its place. */
  void drop(int row) {
    rows--;
    if (row != rows) {
      try (var scope = Scope.open()) {
        stores.forEach(store -> store.move(rows, row));
      }
    }
  }

  /** Goes back to the first tokens; what was seen after them is forgotten. */
  void rewind(int tokens) {
    length = tokens;
    stores.forEach(store -> store.count = tokens);
  }

  /** Lets the first rows alone take part in what follows. */
  void use(int firstRows) {
    rows = firstRows;
  }

  /** Gives all rows of the buffer what the first one has seen from a token on. */
  void spread(int from) {
    stores.forEach(store -> store.spread(from));
  }

  /** Called once per forward pass, after every layer has appended. */
  void advance(int tokens) {
    length += tokens;
  }

  /** Forgets everything; the next pass begins at position 0. */
  public void clear() {
    length = 0;
    stores.forEach(store -> store.count = 0);
  }

  /** One layer: {@code count} tokens at the front of a buffer. */
  private static final class Store {
    final int window;
    final Tensor allKeys;
    final Tensor allValues;
    int count;

    Store(int window, Tensor allKeys, Tensor allValues) {
      this.window = window;
      this.allKeys = allKeys;
      this.allValues = allValues;
    }

    void move(int from, int to) {
      for (var all : List.of(allKeys, allValues)) {
        var held = all.narrow(2, 0, count);
        held.select(0, to).copy_(held.select(0, from));
      }
    }

    void spread(int from) {
      for (var all : List.of(allKeys, allValues)) {
        var seen = all.narrow(2, from, (long) count - from);
        seen.narrow(0, 1, all.size(0) - 1).copy_(seen.narrow(0, 0, 1));
      }
    }

    Seen append(int rows, Tensor addedKeys, Tensor addedValues) {
      var keys = allKeys.narrow(0, 0, rows);
      var values = allValues.narrow(0, 0, rows);
      int time = Math.toIntExact(addedKeys.size(2));
      if (count + time <= keys.size(2)) {
        keys.narrow(2, count, time).copy_(addedKeys);
        values.narrow(2, count, time).copy_(addedValues);
        count += time;
        int reach = window == 0 ? count : Math.min(count, window - 1 + time);
        return new Seen(
            keys.narrow(2, count - reach, reach), values.narrow(2, count - reach, reach));
      }
      // The buffer of a window is full: keep what the window reaches, beside what is new.
      int reach = Math.min(count, window - 1);
      var seen =
          new Seen(
              joined(keys.narrow(2, count - reach, reach), addedKeys),
              joined(values.narrow(2, count - reach, reach), addedValues));
      int kept = (int) Math.min(window - 1, seen.keys().size(2));
      long from = seen.keys().size(2) - kept;
      keys.narrow(2, 0, kept).copy_(seen.keys().narrow(2, from, kept));
      values.narrow(2, 0, kept).copy_(seen.values().narrow(2, from, kept));
      count = kept;
      return seen;
    }

    private static Tensor joined(Tensor before, Tensor added) {
      return torch.cat(new TensorVector(before, added), 2);
    }
  }

  @Override
  public void close() {
    owner.close();
  }
}
