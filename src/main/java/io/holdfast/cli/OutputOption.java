package io.holdfast.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.checkpoint.AtomicFile;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code --output}: a file that is whole or not there, or stdout. */
final class OutputOption {
  private static final ObjectMapper JSON = new ObjectMapper();

  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FILE",
      description = "Where results go; stdout if not given.")
  private Path file;

  /** Writes rows as JSON Lines, as they are made. */
  void writeLines(Stream<ObjectNode> rows) {
    write(lines -> rows.forEachOrdered(lines::add));
  }

  /** Takes rows one by one. */
  @FunctionalInterface
  interface Lines {
    /** The next row. */
    void add(ObjectNode row);
  }

  /**
   * Writes the rows that {@code work} hands over, as JSON Lines; a file shows all of them or none.
   */
  void write(Consumer<Lines> work) {
    if (file == null) {
      PrintWriter out = command.commandLine().getOut();
      work.accept(row -> out.println(line(row)));
      return;
    }
    write(file, work);
  }

  /** Writes rows to a file as JSON Lines. */
  static void writeLines(Path file, List<ObjectNode> rows) {
    write(file, lines -> rows.forEach(lines::add));
  }

  private static void write(Path file, Consumer<Lines> work) {
    AtomicFile.write(
        file,
        channel -> {
          try (var out = new BufferedWriter(Channels.newWriter(channel, StandardCharsets.UTF_8))) {
            work.accept(
                row -> {
                  try {
                    out.write(line(row));
                    out.write('\n');
                  } catch (IOException e) {
                    throw new UncheckedIOException(e);
                  }
                });
          } catch (UncheckedIOException e) {
            throw e.getCause();
          }
        });
  }

  private static String line(ObjectNode row) {
    try {
      return JSON.writeValueAsString(row);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }
}
