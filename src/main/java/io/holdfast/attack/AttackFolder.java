package io.holdfast.attack;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.eval.Outcome;
import io.holdfast.eval.Tally;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * The folder of an attack. Every file is whole or not there, so that an attack goes on from where
 * it was killed.
 *
 * <pre>
 * attack.json       what was attacked and how
 * test_cases.json   the test cases found so far, in HarmBench's form
 * cases/N.json      what was found for the N-th case or group of cases, with the losses of all steps
 * state.json        the search under way
 * summary.json      attack success with its interval, and where the time went
 * </pre>
 */
final class AttackFolder {
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  private final Path folder;

  private AttackFolder(Path folder) {
    this.folder = folder;
  }

  /**
   * Opens a folder.
   *
   * @param description of the attack; a resumed one must have the same
   * @throws HoldfastException if the folder holds an attack and is not resumed, or another one
   */
  static AttackFolder open(Path folder, ObjectNode description, boolean resume) {
    var file = folder.resolve("attack.json");
    try {
      if (Files.exists(file)) {
        if (!resume) {
          throw HoldfastException.usage(
              "--output: %s already holds an attack. Go on with it by --resume, or name another"
                  + " folder.",
              folder);
        }
        requireSame(folder, JSON.readTree(file.toFile()).deepCopy(), description);
      }
      Files.createDirectories(folder.resolve("cases"));
    } catch (IOException e) {
      throw HoldfastException.input("%s: cannot be opened (%s)", folder, e.getMessage())
          .causedBy(e);
    }
    var opened = new AttackFolder(folder);
    opened.write("attack.json", description);
    return opened;
  }

  private static void requireSame(Path folder, ObjectNode before, ObjectNode now) {
    now.properties()
        .forEach(
            entry -> {
              var old = before.path(entry.getKey());
              if (!old.equals(entry.getValue())) {
                throw HoldfastException.usage(
                    "--resume: %s was begun with another %s: %s, not %s",
                    folder, entry.getKey(), old, entry.getValue());
              }
            });
  }

  /** A search under way: which group it is for, and its state. */
  private record UnderWay<S>(int group, S state) {}

  /** The state that the search for a group was left in. */
  <S> Optional<S> state(int group, Class<S> type) {
    var file = folder.resolve("state.json").toFile();
    if (!file.exists()) {
      return Optional.empty();
    }
    try {
      var tree = JSON.readTree(file);
      return tree.path("group").asInt(-1) == group
          ? Optional.of(JSON.treeToValue(tree.get("state"), type))
          : Optional.empty();
    } catch (IOException e) {
      throw HoldfastException.input(
              "%s: cannot be read (%s); delete it to begin this case anew", file, e.getMessage())
          .causedBy(e);
    }
  }

  /** Keeps the state of a search. */
  <S> void save(int group, S state) {
    write("state.json", new UnderWay<>(group, state));
  }

  /** What was found for a group, where its search is over. */
  Optional<List<Found>> found(int group) {
    var file = file(group).toFile();
    try {
      return file.exists()
          ? Optional.of(
              JSON.convertValue(
                  JSON.readTree(file).get("found"), new TypeReference<List<Found>>() {}))
          : Optional.empty();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Keeps what was found for a group. */
  <S> void finish(int group, List<Found> found, S state) {
    var content = JSON.createObjectNode();
    content.set("found", JSON.valueToTree(found));
    content.set("state", JSON.valueToTree(state));
    write(file(group), content);
  }

  /** Writes the results of all groups that are over. */
  void results(List<Found> found, Optional<TimeSplit> time) {
    TestCases.write(folder.resolve(TestCases.FILE), found);
    var success = Tally.of(found.stream().map(Found::outcome).toList());
    var rate = success.rate(Outcome.COMPLY);
    var summary = JSON.createObjectNode();
    summary.put("cases", found.size());
    summary.set("outcomes", JSON.valueToTree(success));
    summary.put("asr", rate.value()).put("asr_low", rate.low()).put("asr_high", rate.high());
    time.ifPresent(
        split -> {
          var seconds = summary.putObject("seconds");
          for (var part : TimeSplit.Part.values()) {
            seconds.put(part.name().toLowerCase(Locale.ROOT), split.seconds(part));
          }
          summary.put("candidates", split.candidates());
        });
    write("summary.json", summary);
  }

  private Path file(int group) {
    return folder.resolve("cases").resolve(group + ".json");
  }

  private void write(String name, Object content) {
    write(folder.resolve(name), content);
  }

  private static void write(Path file, Object content) {
    try {
      AtomicFile.write(file, JSON.writeValueAsString(content) + "\n");
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }
}
