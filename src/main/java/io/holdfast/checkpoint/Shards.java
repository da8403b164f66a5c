package io.holdfast.checkpoint;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Divides a model's weights among files as {@code huggingface_hub} does. */
final class Shards {
  private Shards() {}

  /**
   * Writes {@code model.safetensors}, or shards and their index when one file would be too long.
   */
  static void write(Path folder, Iterable<TensorEntry> tensors, long maxBytes) {
    List<List<TensorEntry>> shards = divide(tensors, maxBytes);
    if (shards.size() == 1) {
      SafetensorsWriter.write(
          folder.resolve(ModelFolder.WEIGHTS), shards.getFirst(), SafetensorsWriter.MODEL_METADATA);
      return;
    }
    Map<String, String> homes = new TreeMap<>();
    long bytes = 0;
    long parameters = 0;
    for (int i = 0; i < shards.size(); i++) {
      String name = "model-%05d-of-%05d.safetensors".formatted(i + 1, shards.size());
      SafetensorsWriter.write(
          folder.resolve(name), shards.get(i), SafetensorsWriter.MODEL_METADATA);
      for (TensorEntry tensor : shards.get(i)) {
        homes.put(tensor.name(), name);
        bytes += tensor.data().byteSize();
        parameters += tensor.elements();
      }
    }
    ObjectNode index = JsonFile.object();
    index.putObject("metadata").put("total_parameters", parameters).put("total_size", bytes);
    homes.forEach(index.putObject("weight_map")::put);
    JsonFile.write(folder.resolve(ModelFolder.INDEX), index);
  }

  /**
   * In the order given, each shard is filled until the next tensor would not fit; a tensor that is
   * longer than a shard may be gets its own.
   */
  private static List<List<TensorEntry>> divide(Iterable<TensorEntry> tensors, long maxBytes) {
    List<List<TensorEntry>> shards = new ArrayList<>();
    List<TensorEntry> filling = new ArrayList<>();
    long bytes = 0;
    for (TensorEntry tensor : tensors) {
      long size = tensor.data().byteSize();
      if (size > maxBytes) {
        shards.add(List.of(tensor));
        continue;
      }
      if (bytes + size > maxBytes) {
        shards.add(filling);
        filling = new ArrayList<>();
        bytes = 0;
      }
      filling.add(tensor);
      bytes += size;
    }
    if (!filling.isEmpty() || shards.isEmpty()) {
      shards.add(filling);
    }
    return shards;
  }
}
