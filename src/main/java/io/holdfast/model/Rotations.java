package io.holdfast.model;

import io.holdfast.kernels.DType;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.util.HashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/** The rotary tables of a decoder, made once and grown when sequences do. */
final class Rotations {
  private record Key(Rope rope, boolean beyond) {}

  private final TensorOwner owner;
  private final DType dtype;
  private final Map<Key, Tensor> tables = new HashMap<>();

  /** Tables that an owner keeps. They are float32, and rounded to the type of the states. */
  Rotations(TensorOwner owner, DType dtype) {
    this.owner = owner;
    this.dtype = dtype;
  }

  /**
   * Cosines and signed sines for the tokens of one pass.
   *
   * @param cos {@code [batch or 1, 1, time, width]}
   * @param sin like {@code cos}
   */
  record Rotation(Tensor cos, Tensor sin, long width) {
    /**
     * Turns the first {@code width} values of each head.
     *
     * @param x {@code [batch, time, heads * headDim]} that nobody else reads
     * @return {@code [batch, heads, time, headDim]}
     */
    Tensor apply(Tensor x, int heads, int headDim, Pieces pieces) {
      if (pieces.rotates(x, cos)) {
        return Attention.split(pieces.rotate(x, headDim, cos, sin), heads, headDim);
      }
      return apart(Attention.split(x, heads, headDim));
    }

    private Tensor apart(Tensor x) {
      long rest = x.size(-1) - width;
      if (rest == 0) {
        return turned(x);
      }
      var parts = new TensorVector(turned(x.narrow(-1, 0, width)), x.narrow(-1, width, rest));
      return torch.cat(parts, -1);
    }

    private Tensor turned(Tensor x) {
      var rolled = x.roll(new long[] {width / 2}, -1);
      // In bfloat16 each product is rounded, as in the families' own code.
      return Tensors.isFloat(x) ? x.mul(cos).addcmul(rolled, sin) : x.mul(cos).add(rolled.mul(sin));
    }
  }

  /** The rotation of one pass for one embedding. Passes of several threads may ask at a time. */
  synchronized Rotation of(Rope rope, Tokens tokens) {
    int time = Math.toIntExact(tokens.ids().size(1));
    int start = tokens.cache() == null ? 0 : tokens.cache().length();
    var table = table(rope, tokens.longest());
    var cos = table.select(0, 0);
    var sin = table.select(0, 1);
    if (tokens.positions() == null) {
      return new Rotation(
          rounded(cos.narrow(0, start, time)), rounded(sin.narrow(0, start, time)), rope.width());
    }
    long batch = tokens.positions().size(0);
    var flat = tokens.positions().reshape(-1);
    return new Rotation(
        rounded(cos.index_select(0, flat).view(batch, 1, time, rope.width())),
        rounded(sin.index_select(0, flat).view(batch, 1, time, rope.width())),
        rope.width());
  }

  private Tensor rounded(Tensor x) {
    return dtype == DType.FLOAT32 ? x : x.to(Tensors.scalarType(dtype));
  }

  private Tensor table(Rope rope, int positions) {
    var key = new Key(rope, positions > rope.shortPositions());
    var table = tables.get(key);
    if (table != null && table.size(1) >= positions) {
      return table;
    }
    int wanted = Math.max(256, Integer.highestOneBit(Math.max(1, positions - 1)) << 1);
    var made = owner.own(rope.table(wanted, key.beyond()));
    if (table != null) {
      owner.release(table);
    }
    tables.put(key, made);
    return made;
  }
}
