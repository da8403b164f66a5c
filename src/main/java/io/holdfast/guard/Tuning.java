package io.holdfast.guard;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tap;
import java.util.List;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;

/** What a guard may ask of the loop that it holds back: the weights, and passes of its own. */
public interface Tuning {
  /** What is trained, by name; float32. */
  SequencedMap<String, Tensor> parameters();

  /** The model in training. */
  Decoder model();

  /** The model as the run found it, without any adapter. */
  Decoder reference();

  /** Steps done, which is the number of the step that is being made, from 0. */
  long steps();

  /** Steps of the whole run. */
  long plannedSteps();

  /** Rows as one pass takes them. */
  Batch batch(List<Example> rows);

  /**
   * A pass on rows: their mean cross entropy per supervised token, whose gradient is added to the
   * parameters' gradients.
   *
   * @param taps of this pass
   */
  double backward(List<Example> rows, List<Tap> taps);

  /** A pass on rows with another loss, whose gradient is added to the parameters' gradients. */
  double backward(List<Example> rows, HeadLoss loss);
}
