package io.holdfast.train;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.checkpoint.SafetensorsWriter;
import io.holdfast.guard.Guard;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;

/**
 * What is trained with what its guards must find again: their state is a file beside the weights.
 */
record GuardedModel(Checkpoints.Model model, List<Guard> guards) implements Checkpoints.Model {
  private static final String FILE = "guards.safetensors";

  @Override
  public void write(Path folder) {
    model.write(folder);
    var state = state();
    if (!state.isEmpty()) {
      SafetensorsWriter.write(folder.resolve(FILE), TensorState.entries("", state), Map.of());
    }
  }

  @Override
  public void read(Path folder) {
    model.read(folder);
    var state = state();
    var file = folder.resolve(FILE);
    if (state.isEmpty()) {
      return;
    }
    if (!Files.isRegularFile(file)) {
      throw HoldfastException.input(
          "%s: this checkpoint is of a run under other guards; go on with those", folder);
    }
    try (var kept = Safetensors.open(file)) {
      TensorState.restore(folder, kept::names, kept::get, "", state);
    }
  }

  private Map<String, Tensor> state() {
    var state = new LinkedHashMap<String, Tensor>();
    for (int i = 0; i < guards.size(); i++) {
      var prefix = i + ".";
      guards.get(i).state().forEach((name, tensor) -> state.put(prefix + name, tensor));
    }
    return state;
  }
}
