package io.holdfast.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A folder of three shards that holds one number everywhere, so that a mixture would show. */
final class TinyModel {
  private TinyModel() {}

  static void save(Path folder, Path source, int version) {
    List<TensorEntry> tensors = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      float[] values = new float[50];
      Arrays.fill(values, version);
      tensors.add(TensorEntry.of("layers." + i + ".weight", List.of(50L), values));
    }
    var config = JsonFile.object().put("version", version);
    ModelFolder.save(folder, config, tensors, source, 400);
  }

  /** The number, after making sure that the whole folder says the same. */
  static int version(Path folder) {
    try (var model = ModelFolder.open(folder)) {
      int version = model.config().get("version").asInt();
      assertEquals(6, model.names().size());
      for (String name : model.names()) {
        for (float value : model.tensor(name).data().toArray(ValueLayout.JAVA_FLOAT)) {
          assertEquals(version, value, name);
        }
      }
      assertTrue(Files.exists(folder.resolve("tokenizer.json")));
      assertTrue(Files.exists(folder.resolve("tokenizer_config.json")));
      return version;
    }
  }
}
