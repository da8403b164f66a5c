package io.holdfast.model;

import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;

/**
 * Which tokens each token of one forward pass may look at, for every width of window: no mask where
 * plain causality says it all, else one mask per width, made once.
 *
 * <p>Windows count columns; within a row they differ from positions by the padding alone.
 */
final class Sight {
  private final int start;
  private final int time;
  private final Tensor given;
  private final Map<Integer, Tensor> masks = new HashMap<>();
  private final List<Sight> parts;

  /**
   * The sight of one pass.
   *
   * @param start tokens in the cache
   * @param time tokens of this pass
   * @param given boolean {@code [batch, 1, time, start + time]}, or null for plain causality
   */
  Sight(int start, int time, Tensor given) {
    this(start, time, given, List.of());
  }

  private Sight(int start, int time, Tensor given, List<Sight> parts) {
    this.start = start;
    this.time = time;
    this.given = given;
    this.parts = parts;
  }

  /** The sight of sequences that follow one another in one row and do not see each other. */
  static Sight packed(long[] lengths) {
    var byLength = new HashMap<Long, Sight>();
    var parts =
        Arrays.stream(lengths)
            .mapToObj(
                length ->
                    byLength.computeIfAbsent(length, n -> new Sight(0, Math.toIntExact(n), null)))
            .toList();
    return new Sight(0, Math.toIntExact(Arrays.stream(lengths).sum()), null, parts);
  }

  /** The sights of the sequences that share the row, or none where it is one sequence. */
  List<Sight> parts() {
    return parts;
  }

  /** Makes every mask that the layers will ask for, in the scope that is open now. */
  void prepare(Architecture architecture) {
    for (var sight : parts.isEmpty() ? List.of(this) : parts) {
      for (var layer : architecture.layers()) {
        if (architecture.attention().cap() > 0) {
          sight.explicit(layer.window(), sight.time);
        } else {
          sight.mask(layer.window(), sight.time);
        }
      }
    }
  }

  /** Tokens of this pass. */
  int time() {
    return time;
  }

  /** Whether plain causal attention over exactly this pass's tokens is right. */
  boolean causal(int window) {
    return given == null && start == 0 && time > 1 && !slides(window);
  }

  /**
   * The mask for the last {@code columns} tokens seen.
   *
   * @param columns keys at hand; a layer with a window may have dropped older ones
   * @return {@code [batch or 1, 1, time, columns]}, or null where none is needed
   */
  Tensor mask(int window, long columns) {
    return causal(window) ? null : explicit(window, columns);
  }

  /** As {@link #mask}, but written out where causality alone would do. */
  Tensor explicit(int window, long columns) {
    if (given == null && time == 1 && (window == 0 || columns <= window)) {
      return null;
    }
    var mask = slides(window) ? windowed(window) : everything();
    long dropped = start + time - columns;
    return dropped == 0 ? mask : mask.narrow(3, dropped, columns);
  }

  private boolean slides(int window) {
    return window > 0 && window < start + time;
  }

  private Tensor everything() {
    return given != null ? given : masks.computeIfAbsent(0, this::band);
  }

  private Tensor windowed(int window) {
    return masks.computeIfAbsent(
        window,
        width -> {
          var band = band(width);
          return given == null ? band : band.logical_and(given);
        });
  }

  /** {@code [1, 1, time, start + time]}: not ahead, and no further back than the window. */
  private Tensor band(int window) {
    var column = Tensors.range(0, start + time).view(1, -1);
    var row = Tensors.range(start, start + time).view(-1, 1);
    var allowed = column.le(row);
    if (window > 0) {
      allowed = allowed.logical_and(column.gt(row.sub(new Scalar(window))));
    }
    return allowed.view(1, 1, time, start + time);
  }
}
