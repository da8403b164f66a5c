package io.holdfast.model;

import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import org.bytedeco.pytorch.Tensor;

/** Keys and values of the tokens that a batch has seen, so that decoding reads them only once. */
public final class KvCache implements AutoCloseable {
  private final TensorOwner owner = new TensorOwner();
  private final Tensor[] keys;
  private final Tensor[] values;
  private final int capacity;
  private int length;

  /**
   * An empty cache.
   *
   * @param architecture of the model
   * @param batch sequences decoded together
   * @param capacity tokens it can hold for each
   */
  public KvCache(Architecture architecture, int batch, int capacity) {
    this.capacity = capacity;
    this.keys = new Tensor[architecture.layers()];
    this.values = new Tensor[architecture.layers()];
    for (int layer = 0; layer < keys.length; layer++) {
      keys[layer] =
          owner.own(Tensors.zeros(batch, architecture.kvHeads(), capacity, architecture.headDim()));
      values[layer] =
          owner.own(Tensors.zeros(batch, architecture.kvHeads(), capacity, architecture.headDim()));
    }
  }

  /** Tokens seen so far. */
  public int length() {
    return length;
  }

  /** The keys of a layer after appending {@code [batch, kvHeads, time, headDim]}. */
  Tensor appendKeys(int layer, Tensor added) {
    return append(keys[layer], added);
  }

  Tensor appendValues(int layer, Tensor added) {
    return append(values[layer], added);
  }

  /** Called once per forward pass, after every layer has appended. */
  void advance(int tokens) {
    length += tokens;
  }

  private Tensor append(Tensor store, Tensor added) {
    long tokens = added.size(2);
    if (length + tokens > capacity) {
      throw new IllegalStateException(
          "the cache holds %d tokens, %d are too many".formatted(capacity, length + tokens));
    }
    store.narrow(2, length, tokens).copy_(added);
    return store.narrow(2, 0, length + tokens);
  }

  @Override
  public void close() {
    owner.close();
  }
}
