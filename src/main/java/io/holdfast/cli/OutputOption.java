package io.holdfast.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.checkpoint.AtomicFile;
import java.io.PrintWriter;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
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
    if (file == null) {
      PrintWriter out = command.commandLine().getOut();
      rows.forEach(row -> out.println(line(row)));
      return;
    }
    AtomicFile.write(
        file,
        channel -> {
          for (var row : (Iterable<ObjectNode>) rows::iterator) {
            channel.write(ByteBuffer.wrap((line(row) + "\n").getBytes(StandardCharsets.UTF_8)));
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
