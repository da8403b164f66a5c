package io.holdfast.train;

import io.holdfast.data.Batch;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Tensor;

/**
 * The model a run must not drift away from: what its configuration names as {@code model}, without
 * any adapter and with all its weights as they were.
 */
public final class Reference implements ReferenceStates {
  private final Decoder decoder;
  private long computed;

  /** A reference that this decoder computes. */
  public Reference(Decoder decoder) {
    this.decoder = decoder;
  }

  @Override
  public Decoder decoder() {
    return decoder;
  }

  @Override
  public long computed() {
    return computed;
  }

  @Override
  public Tensor head() {
    return decoder.head().detach();
  }

  /** As declared; examples without a row that has a KL weight are not computed. */
  @Override
  public Tensor hiddenAt(Batch batch, LossRows rows) {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      int[] needed =
          Arrays.stream(rows.index(), 0, rows.withKl())
              .mapToInt(batch::exampleAt)
              .sorted()
              .distinct()
              .toArray();
      var part = batch.only(needed);
      computed += needed.length;
      var index = new long[rows.withKl()];
      for (int i = 0; i < index.length; i++) {
        int example = batch.exampleAt(rows.index()[i]);
        index[i] =
            part.starts()[Arrays.binarySearch(needed, example)]
                + rows.index()[i]
                - batch.starts()[example];
      }
      var hidden = decoder.forward(Tokens.of(part), AdapterMode.ON, List.<Tap>of());
      return scope.keep(
          hidden.reshape(-1, hidden.size(-1)).index_select(0, Tensors.of(index, index.length)));
    }
  }
}
