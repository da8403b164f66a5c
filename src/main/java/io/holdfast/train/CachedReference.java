package io.holdfast.train;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.guard.KeptRows;
import io.holdfast.model.Decoder;
import io.holdfast.torch.Tensors;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Tensor;

/**
 * A reference whose last hidden states were computed before training and are read from a file: no
 * reference forward runs while training.
 *
 * @param model whose head turns the states into predictions
 */
record CachedReference(Reference model, KeptRows states) implements ReferenceStates {
  /**
   * The states of these examples, from the file if it holds them already.
   *
   * @param key names the model and the data
   */
  static CachedReference of(Path path, String key, List<Example> examples, Reference model) {
    var decoder = model.decoder();
    return new CachedReference(
        model,
        KeptRows.of(
            path,
            key,
            examples,
            decoder.architecture().hidden(),
            decoder.weights().dtype(),
            decoder,
            (_, hidden) -> hidden));
  }

  @Override
  public Decoder decoder() {
    return model.decoder();
  }

  @Override
  public Tensor head() {
    return model.head();
  }

  @Override
  public Tensor hiddenAt(Batch batch, LossRows rows) {
    var found =
        Tensors.emptyOnHost(Tensors.scalarType(states.dtype()), rows.withKl(), states.width());
    var memory = Tensors.memory(found);
    long row = memory.byteSize() / Math.max(1, rows.withKl());
    int here = -1;
    int[] places = {};
    var kept = MemorySegment.NULL;
    for (int i = 0; i < rows.withKl(); i++) {
      int number = batch.exampleAt(rows.index()[i]);
      if (number != here) {
        here = number;
        places = KeptRows.places(batch.examples().get(number));
        kept = states.rows(batch.examples().get(number));
      }
      int at = (int) (rows.index()[i] - batch.starts()[number]);
      MemorySegment.copy(kept, Arrays.binarySearch(places, at) * row, memory, i * row, row);
    }
    return Tensors.placed(found);
  }

  @Override
  public long computed() {
    return model.computed();
  }

  @Override
  public void close() {
    states.close();
  }
}
