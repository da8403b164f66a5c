package io.holdfast.train;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/** A file of JSON Lines, each with the step it speaks of, ascending; made by its first line. */
final class StepLog {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path file;
  private long last = -1;

  StepLog(Path file) {
    this.file = file;
  }

  /** Forgets the lines after a step, which a resumed run writes again. */
  void cut(long step) {
    if (!Files.exists(file)) {
      return;
    }
    var kept = new ArrayList<String>();
    for (var line : lines()) {
      long at = step(line);
      if (at > step) {
        break;
      }
      kept.add(line + "\n");
      last = at;
    }
    AtomicFile.write(file, String.join("", kept));
  }

  private List<String> lines() {
    try {
      return Files.readAllLines(file);
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    }
  }

  /** The last line of a killed run may be cut off: its step is after every checkpoint. */
  private static long step(String line) {
    try {
      return JSON.readTree(line).path("step").asLong(Long.MAX_VALUE);
    } catch (JacksonException e) {
      return Long.MAX_VALUE;
    }
  }

  /** The step of the last line, or -1 where there is none. */
  long last() {
    return last;
  }

  /** Appends a line. */
  void append(long step, ObjectNode line) {
    try {
      Files.writeString(
          file,
          JSON.writeValueAsString(line) + "\n",
          StandardOpenOption.CREATE,
          StandardOpenOption.APPEND);
      last = step;
    } catch (IOException e) {
      throw HoldfastException.input(
              "%s: cannot be written (%s); check the permissions and the space left on the disk",
              file, e.getMessage())
          .causedBy(e);
    }
  }
}
