package io.holdfast;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Files that other implementations made, and the comparison with them. */
public final class Goldens {
  private static final ObjectMapper JSON = new ObjectMapper();

  private Goldens() {}

  public static Path path(String name) {
    return Path.of("tests", "goldens").resolve(name);
  }

  public static JsonNode json(Path file) {
    try {
      return JSON.readTree(file.toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public static List<JsonNode> lines(Path file) {
    try (var lines = Files.lines(file)) {
      return lines
          .map(
              line -> {
                try {
                  return JSON.readTree(line);
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
              })
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public static int[] ints(JsonNode array) {
    var values = new int[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.get(i).asInt();
    }
    return values;
  }

  public static float[] floats(Safetensors file, String name) {
    var data = file.get(name).data();
    var values = new float[Math.toIntExact(data.byteSize() / Float.BYTES)];
    for (int i = 0; i < values.length; i++) {
      values[i] = data.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4L * i);
    }
    return values;
  }

  /** A tensor of a model in float32, whatever its type in the file. */
  public static float[] floats(ModelFolder model, String name) {
    var entry = model.tensor(name);
    try (var scope = Scope.open()) {
      return Tensors.floats(Tensors.sharing(entry.data(), entry.dtype(), entry.sizes()));
    }
  }

  /** All values within an absolute tolerance; says which are not, ten at most. */
  public static void assertClose(String what, float[] expected, float[] actual, double tolerance) {
    assertEquals(expected.length, actual.length, what);
    var faults = new StringBuilder();
    int count = 0;
    for (int i = 0; i < expected.length; i++) {
      if (!(Math.abs(expected[i] - actual[i]) <= tolerance) && count++ < 10) {
        faults.append("%n  [%d] expected %s, got %s".formatted(i, expected[i], actual[i]));
      }
    }
    if (count > 0) {
      fail("%s: %d of %d differ:%s".formatted(what, count, expected.length, faults));
    }
  }

  /** As {@link #assertClose}, relative to the largest expected value. */
  public static void assertCloseRelative(
      String what, float[] expected, float[] actual, double tolerance) {
    double largest = 1e-12;
    for (float value : expected) {
      largest = Math.max(largest, Math.abs(value));
    }
    assertClose(what, expected, actual, tolerance * largest);
  }
}
