package io.holdfast.cli.study;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.checkpoint.Sha256;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The parts of a long study, each a file that names what it depends on: a study that was
 * interrupted goes on with the first part that is missing, one whose inputs changed does that part
 * again.
 */
record Stages(Path folder) {
  private static final ObjectMapper JSON = new ObjectMapper();

  /**
   * The result of a part.
   *
   * @param name of its file
   * @param key everything that the result depends on
   */
  ObjectNode of(String name, String key, Supplier<ObjectNode> work) {
    return kept(name, key)
        .orElseGet(
            () -> {
              var result = work.get();
              keep(name, key, result);
              return result;
            });
  }

  /** The result of an earlier run with the same inputs. */
  Optional<ObjectNode> kept(String name, String key) {
    var file = file(name);
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try {
      var kept = JSON.readTree(file.toFile());
      return kept.path("key").asText().equals(Sha256.of(key))
          ? Optional.of((ObjectNode) kept.get("result"))
          : Optional.empty();
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  void keep(String name, String key, ObjectNode result) {
    StudyFiles.make(folder);
    var kept = StudyFiles.object().put("key", Sha256.of(key));
    kept.set("result", result);
    AtomicFile.write(file(name), kept.toPrettyString() + "\n");
  }

  private Path file(String name) {
    return folder.resolve(name.replaceAll("[^A-Za-z0-9._-]+", "-") + ".json");
  }
}
