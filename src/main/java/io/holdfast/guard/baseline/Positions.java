package io.holdfast.guard.baseline;

import io.holdfast.data.Batch;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.bytedeco.pytorch.Tensor;

/** Tokens of a batch as an index into its flattened states. */
final class Positions {
  private Positions() {}

  /** All tokens but padding. */
  static Tensor tokens(Batch batch) {
    return index(
        IntStream.range(0, batch.examples().size())
            .boxed()
            .flatMapToLong(
                i ->
                    LongStream.range(
                        batch.starts()[i],
                        (long) batch.starts()[i] + batch.examples().get(i).length()))
            .toArray());
  }

  /** Those with a label: the tokens before supervised ones. */
  static Tensor labelled(Batch batch) {
    return index(
        LongStream.range(0, batch.labels().length)
            .filter(at -> batch.labels()[(int) at] >= 0)
            .toArray());
  }

  /** The labels there. */
  static Tensor labels(Batch batch) {
    return index(Arrays.stream(batch.labels()).filter(label -> label >= 0).toArray());
  }

  private static Tensor index(long[] values) {
    return Tensors.of(values, values.length);
  }
}
