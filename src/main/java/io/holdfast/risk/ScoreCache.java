package io.holdfast.risk;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Scores that were paid for once, in a file of JSON Lines {@code {"key", "score"}} to which each is
 * added as it comes. A line that a killed process left unfinished at the end is forgotten.
 */
final class ScoreCache implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path file;
  private final Map<String, Integer> scores = new ConcurrentHashMap<>();
  private final FileChannel channel;

  ScoreCache(Path file) {
    this.file = file;
    try {
      Files.createDirectories(file.toAbsolutePath().getParent());
      channel =
          FileChannel.open(
              file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
      read();
    } catch (IOException e) {
      throw unusable(e);
    }
  }

  private void read() throws IOException {
    var bytes = Files.readAllBytes(file);
    int whole = bytes.length;
    while (whole > 0 && bytes[whole - 1] != '\n') {
      whole--;
    }
    List<String> lines = new String(bytes, 0, whole, StandardCharsets.UTF_8).lines().toList();
    for (int i = 0; i < lines.size(); i++) {
      try {
        var line = JSON.readTree(lines.get(i));
        int score = line.path("score").asInt();
        if (!line.path("key").isTextual() || score < 1 || score > 5) {
          throw notOurs(i + 1);
        }
        scores.put(line.get("key").textValue(), score);
      } catch (JsonProcessingException e) {
        throw notOurs(i + 1);
      }
    }
    channel.truncate(whole).position(whole);
  }

  private HoldfastException notOurs(int line) {
    return HoldfastException.input(
        "%s:%d: not a line of kept scores, {\"key\": .., \"score\": 1 to 5}; name another file as"
            + " the critic's cache, or remove this one",
        file, line);
  }

  private HoldfastException unusable(IOException e) {
    return HoldfastException.input("%s: cannot be used as a cache (%s)", file, e.getMessage())
        .causedBy(e);
  }

  OptionalInt get(String key) {
    var score = scores.get(key);
    return score == null ? OptionalInt.empty() : OptionalInt.of(score);
  }

  synchronized void put(String key, int score) {
    scores.put(key, score);
    var line = "{\"key\":\"%s\",\"score\":%d}\n".formatted(key, score);
    var bytes = ByteBuffer.wrap(line.getBytes(StandardCharsets.UTF_8));
    try {
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
    } catch (IOException e) {
      throw unusable(e);
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw unusable(e);
    }
  }
}
