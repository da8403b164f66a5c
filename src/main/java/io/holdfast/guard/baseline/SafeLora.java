package io.holdfast.guard.baseline;

import io.holdfast.HoldfastException;
import io.holdfast.guard.Guard;
import io.holdfast.guard.Tuning;
import io.holdfast.model.Decoder;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * SafeLoRA (Hsu et al. 2024, "Safe LoRA: The Silver Lining of Reducing Safety Risks when Finetuning
 * Large Language Models", eq. 1 to 3): after the run, with {@code V = W_aligned - W_unaligned} and
 * {@code C = V V^T / ||V||_F}, the update of a matrix is projected, {@code B <- C B}, where the
 * cosine between {@code C B A} and {@code B A} is at most the threshold, or for the matrices where
 * it is least. Reimplementation from public description.
 */
public final class SafeLora implements Guard {
  private final Path folder;
  private final double threshold;
  private final Optional<Integer> count;
  private final Decoder unaligned;
  private Tuning tuning;
  private double projected;

  /**
   * A projection.
   *
   * @param folder the model before its alignment
   * @param threshold the largest cosine that is projected
   * @param count how many matrices are projected instead, those with the least cosine
   */
  public SafeLora(Path folder, double threshold, Optional<Integer> count) {
    this.folder = folder;
    this.threshold = threshold;
    this.count = count;
    this.unaligned = Decoder.load(folder);
  }

  @Override
  public String name() {
    return count
        .map(n -> "SafeLoRA, the %d matrices with the least cosine".formatted(n))
        .orElse("SafeLoRA, threshold " + threshold);
  }

  @Override
  public void begin(Tuning run) {
    tuning = run;
    for (var module : run.model().adapters().keySet()) {
      difference(module);
    }
  }

  /** What alignment has changed in a matrix, {@code [out, in]} in float64. */
  private Tensor difference(String module) {
    var name = module + ".weight";
    var aligned = tuning.reference().weights().get(name);
    var before = unaligned.weights().all().get(name);
    if (before == null || !Arrays.equals(Tensors.shape(before), Tensors.shape(aligned))) {
      throw HoldfastException.input(
          "%s: its %s is not that of the model that is trained; name the model from which that one"
              + " was aligned",
          folder, name);
    }
    var v = aligned.to(ScalarType.Double).sub(before.to(ScalarType.Double));
    if (v.abs().max().item_double() == 0) {
      throw HoldfastException.input(
          "%s: its %s is the same as that of the model that is trained, so nothing says what"
              + " alignment changed; name the model before alignment",
          folder, name);
    }
    return v;
  }

  @Override
  public void finish() {
    var cosines = new LinkedHashMap<String, Double>();
    tuning
        .model()
        .adapters()
        .forEach(
            (module, update) -> {
              try (var scope = Scope.open();
                  var noGrad = NoGrad.on()) {
                var ba = update.b().to(ScalarType.Double).mm(update.a().to(ScalarType.Double));
                var cba = projection(module).mm(ba);
                double lengths = ba.norm().item_double() * cba.norm().item_double();
                cosines.put(module, lengths == 0 ? 1 : cba.mul(ba).sum().item_double() / lengths);
              }
            });
    double limit =
        count
            .map(n -> cosines.values().stream().sorted().limit(n).reduce((_, last) -> last))
            .map(last -> last.orElse(Double.NEGATIVE_INFINITY))
            .orElse(threshold);
    tuning
        .model()
        .adapters()
        .forEach(
            (module, update) -> {
              if (cosines.get(module) <= limit) {
                try (var scope = Scope.open();
                    var noGrad = NoGrad.on()) {
                  var b = update.b();
                  b.copy_(projection(module).mm(b.to(ScalarType.Double)));
                  projected++;
                }
              }
            });
  }

  private Tensor projection(String module) {
    var v = difference(module);
    return v.mm(v.t()).div(v.norm());
  }

  @Override
  public Map<String, Double> metrics() {
    return Map.of("projected_matrices", projected);
  }

  @Override
  public void close() {
    unaligned.close();
  }
}
