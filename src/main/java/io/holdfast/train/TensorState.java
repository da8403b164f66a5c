package io.holdfast.train;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.model.Weights;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Tensor;

/** Tensors as entries of a file, and back. */
final class TensorState {
  private TensorState() {}

  /** Entries that share the tensors' memory; write them before the tensors change. */
  static List<TensorEntry> entries(String prefix, Map<String, Tensor> tensors) {
    var entries = new ArrayList<TensorEntry>();
    tensors.forEach((name, tensor) -> entries.add(Weights.entry(prefix + name, tensor)));
    return entries;
  }

  /** Copies entries of a file or folder into tensors of the same names and shapes. */
  static void restore(
      Path source,
      Supplier<? extends Collection<String>> names,
      Function<String, TensorEntry> entries,
      String prefix,
      Map<String, Tensor> tensors) {
    tensors.forEach(
        (name, tensor) -> {
          if (!names.get().contains(prefix + name)) {
            throw HoldfastException.input(
                "%s: no tensor %s; this checkpoint is of a run with another `tune` or `freeze`",
                source, prefix + name);
          }
          var entry = entries.apply(prefix + name);
          if (!Arrays.equals(entry.sizes(), Tensors.shape(tensor))) {
            throw HoldfastException.input(
                "%s: tensor %s has shape %s, this run has %s",
                source, prefix + name, entry.shape(), Arrays.toString(Tensors.shape(tensor)));
          }
          try (var scope = Scope.open();
              var noGrad = NoGrad.on()) {
            tensor.copy_(Tensors.sharing(entry.data(), entry.dtype(), entry.sizes()));
          }
        });
  }
}
