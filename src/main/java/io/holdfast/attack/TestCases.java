package io.holdfast.attack;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/** HarmBench's files of test cases, {@code {id: [text, ...]}}. */
public final class TestCases {
  /** Its name in the folder of an attack. */
  public static final String FILE = "test_cases.json";

  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  private TestCases() {}

  /**
   * Reads a file, or the one in the folder of an attack.
   *
   * @throws HoldfastException if it is something else
   */
  public static SequencedMap<String, List<String>> read(Path path) {
    var file = Files.isDirectory(path) ? path.resolve(FILE) : path;
    try {
      return JSON.readValue(
          file.toFile(), new TypeReference<LinkedHashMap<String, List<String>>>() {});
    } catch (JsonProcessingException e) {
      throw HoldfastException.input(
              "%s: is not a file of test cases, {id: [text, ...]}: %s",
              file, e.getOriginalMessage())
          .causedBy(e);
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    }
  }

  /** Writes a file, whole or not at all. */
  static void write(Path file, List<Found> found) {
    var cases = new LinkedHashMap<String, List<String>>();
    found.forEach(one -> cases.put(one.id(), List.of(one.testCase())));
    try {
      AtomicFile.write(file, JSON.writeValueAsString(cases) + "\n");
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }
}
