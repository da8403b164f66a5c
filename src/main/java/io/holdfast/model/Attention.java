package io.holdfast.model;

import static org.bytedeco.pytorch.global.torch.scaled_dot_product_attention;

import java.util.List;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * Self-attention of one block, with grouped queries where {@code kvHeads < heads} (Ainslie et al.
 * 2023).
 *
 * @param inputs query, key and value projections, or the one that computes all three
 * @param queryNorm per head before the rotation, or null
 * @param keyNorm per head before the rotation, or null
 */
record Attention(
    Architecture architecture,
    int layer,
    Projection[] inputs,
    Projection output,
    Norm queryNorm,
    Norm keyNorm) {

  /**
   * What attention adds to the residual stream.
   *
   * @param x {@code [batch, time, d]}, normed
   */
  Tensor apply(
      Tensor x,
      KvCache cache,
      Sight sight,
      Rotations.Rotation rotation,
      AdapterMode mode,
      Pieces pieces) {
    int heads = architecture.heads();
    int kvHeads = architecture.kvHeads();
    Tensor query;
    Tensor key;
    Tensor value;
    if (architecture.attention().fused()) {
      var all = inputs[0].apply(x, mode);
      long width = (long) heads * architecture.headDim();
      long kvWidth = (long) kvHeads * architecture.headDim();
      query = all.narrow(-1, 0, width);
      key = all.narrow(-1, width, kvWidth);
      value = all.narrow(-1, width + kvWidth, kvWidth);
    } else {
      query = inputs[0].apply(x, mode);
      key = inputs[1].apply(x, mode);
      value = inputs[2].apply(x, mode);
    }
    int headDim = architecture.headDim();
    query = rotation.apply(normed(query, heads, queryNorm, pieces), heads, headDim, pieces);
    key = rotation.apply(normed(key, kvHeads, keyNorm, pieces), kvHeads, headDim, pieces);
    value = split(value, kvHeads, headDim);
    if (cache != null) {
      var seen = cache.append(layer, key, value);
      key = seen.keys();
      value = seen.values();
    }
    Tensor mixed;
    if (query.size(2) == 1 && sight.parts().isEmpty()) {
      mixed = attendGrouped(query, key, value, sight);
    } else if (sight.parts().isEmpty()) {
      mixed = attend(query, repeated(key), repeated(value), sight);
    } else {
      mixed = attendApart(query, repeated(key), repeated(value), sight.parts());
    }
    return output.apply(
        mixed.transpose(1, 2).reshape(x.size(0), x.size(1), (long) heads * architecture.headDim()),
        mode);
  }

  /**
   * Attention of one new token. All queries that share a head's keys see the same of them, so they
   * stand in for times of one head, and the cache is not copied for each.
   */
  private Tensor attendGrouped(Tensor query, Tensor key, Tensor value, Sight sight) {
    long batch = query.size(0);
    int kvHeads = architecture.kvHeads();
    int times = architecture.heads() / kvHeads;
    var grouped = query.reshape(batch, kvHeads, times, architecture.headDim());
    return attend(grouped, key, value, sight)
        .reshape(batch, architecture.heads(), 1, architecture.headDim());
  }

  /**
   * Attention within each sequence of a packed row. Splitting costs the sum of the squared lengths;
   * a block-diagonal mask would cost the square of their sum, and the memory of it.
   */
  private Tensor attendApart(Tensor query, Tensor key, Tensor value, List<Sight> parts) {
    long[] lengths = parts.stream().mapToLong(Sight::time).toArray();
    var queries = query.split_with_sizes(lengths, 2);
    var keys = key.split_with_sizes(lengths, 2);
    var values = value.split_with_sizes(lengths, 2);
    var mixed = new Tensor[lengths.length];
    for (int i = 0; i < mixed.length; i++) {
      mixed[i] = attend(queries.get(i), keys.get(i), values.get(i), parts.get(i));
    }
    return torch.cat(new TensorVector(mixed), 2);
  }

  private Tensor attend(Tensor query, Tensor key, Tensor value, Sight sight) {
    int window = architecture.layers().get(layer).window();
    if (architecture.attention().cap() > 0) {
      return capped(query, key, value, sight.explicit(window, key.size(2)));
    }
    boolean causal = sight.causal(window);
    var mask = sight.mask(window, key.size(2));
    var allowed = mask == null ? new TensorOptional() : new TensorOptional(mask);
    var scale = new DoubleOptional(architecture.attention().scale());
    return scaled_dot_product_attention(query, key, value, allowed, 0.0, causal, scale, false);
  }

  /** Scores pass through {@code cap tanh(./cap)} before the mask (Gemma 2). */
  private Tensor capped(Tensor query, Tensor key, Tensor value, Tensor mask) {
    double cap = architecture.attention().cap();
    var scores = query.matmul(key.transpose(2, 3));
    scores = scores.mul(new Scalar(architecture.attention().scale() / cap)).tanh();
    scores = scores.mul(new Scalar(cap));
    if (mask != null) {
      scores = scores.masked_fill(mask.logical_not(), new Scalar(Double.NEGATIVE_INFINITY));
    }
    var weights = scores.softmax(-1, new ScalarTypeOptional(ScalarType.Float));
    return weights.to(value.scalar_type()).matmul(value);
  }

  /** Each head with a norm of its own, where there is one. */
  private Tensor normed(Tensor x, int heads, Norm norm, Pieces pieces) {
    return norm == null
        ? x
        : norm.apply(x.unflatten(-1, heads, architecture.headDim()), pieces).flatten(-2, -1);
  }

  /** {@code [batch, time, heads * headDim] -> [batch, heads, time, headDim]}. */
  static Tensor split(Tensor x, int heads, int headDim) {
    return x.unflatten(-1, heads, headDim).transpose(1, 2);
  }

  /** Each key or value head once for every query head that shares it. */
  private Tensor repeated(Tensor x) {
    int times = architecture.heads() / architecture.kvHeads();
    if (times == 1) {
      return x;
    }
    return x.unsqueeze(2)
        .expand(x.size(0), x.size(1), times, x.size(2), x.size(3))
        .reshape(x.size(0), x.size(1) * times, x.size(2), x.size(3));
  }
}
