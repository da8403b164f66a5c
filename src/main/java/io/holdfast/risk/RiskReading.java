package io.holdfast.risk;

import io.holdfast.data.Batch;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;

/** Reads the risk of a batch's rows on the way of a forward pass that is made anyway. */
public final class RiskReading implements Tap {
  private final RiskPredictor predictor;
  private final Batch batch;
  private final int[] rows;
  private float[] risks;

  /** A reading of one batch; rows with nothing to learn have no risk. */
  RiskReading(RiskPredictor predictor, Batch batch) {
    this.predictor = predictor;
    this.batch = batch;
    this.rows =
        IntStream.range(0, batch.examples().size())
            .filter(i -> batch.examples().get(i).supervised() > 0)
            .toArray();
  }

  @Override
  public boolean wants(Site site) {
    return risks == null && site.equals(Site.residual(predictor.layer()));
  }

  @Override
  public Tensor at(Site site, Tensor hidden) {
    try (var scope = Scope.open()) {
      int width = Math.toIntExact(hidden.size(-1));
      long[] index =
          Arrays.stream(rows)
              .mapToLong(i -> batch.starts()[i] + predictor.at(batch.examples().get(i)))
              .toArray();
      var states =
          Tensors.floats(
              hidden.detach().reshape(-1, width).index_select(0, Tensors.of(index, index.length)));
      risks = new float[batch.examples().size()];
      Arrays.fill(risks, Float.NaN);
      for (int i = 0; i < rows.length; i++) {
        var example = batch.examples().get(rows[i]);
        risks[rows[i]] =
            predictor.risk(example, Arrays.copyOfRange(states, i * width, (i + 1) * width));
      }
    }
    return hidden;
  }

  /** The risk of each example of the batch, NaN for those without any; after the pass. */
  float[] risks() {
    return risks;
  }
}
