package io.holdfast.guard.baseline;

import io.holdfast.HoldfastException;
import io.holdfast.guard.Guard;
import io.holdfast.guard.Tuning;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.bytedeco.pytorch.Tensor;

/**
 * Frozen safety layers (SPPFT; Li et al. 2024, "Safety Layers in Aligned Large Language Models: The
 * Key to LLM Security", section 4): a contiguous range of blocks gets no gradient. Reimplementation
 * from public description; which layers those are is for the user to find, the paper's search being
 * unpublished.
 */
public final class FrozenLayers implements Guard {
  private static final Pattern LAYER = Pattern.compile("(?:^|\\.)layers\\.(\\d+)\\.");

  private final int first;
  private final int last;
  private final List<Tensor> frozen = new ArrayList<>();

  /**
   * A range of blocks, counted from 0, both ends included.
   *
   * @param first of them
   * @param last of them
   */
  public FrozenLayers(int first, int last) {
    this.first = first;
    this.last = last;
  }

  @Override
  public String name() {
    return "frozen safety layers %d to %d".formatted(first, last);
  }

  @Override
  public void begin(Tuning tuning) {
    int depth = tuning.model().architecture().depth();
    if (last >= depth) {
      throw HoldfastException.usage(
          "guard.baselines.frozen_layers.last: %d; this model's blocks are 0 to %d",
          last, depth - 1);
    }
    freeze(tuning.parameters());
    freeze(tuning.model().weights().all());
    if (frozen.isEmpty()) {
      throw HoldfastException.usage(
          "guard.baselines.frozen_layers: nothing of blocks %d to %d is trained", first, last);
    }
  }

  private void freeze(Map<String, Tensor> weights) {
    weights.forEach(
        (name, weight) -> {
          var layer = LAYER.matcher(name);
          if (layer.find() && weight.requires_grad()) {
            int number = Integer.parseInt(layer.group(1));
            if (number >= first && number <= last) {
              frozen.add(weight.requires_grad_(false));
            }
          }
        });
  }
}
