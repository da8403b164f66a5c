package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.Goldens;
import io.holdfast.checkpoint.AtomicFolder;
import io.holdfast.cli.Holdfast;
import io.holdfast.train.config.TrainConfig;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A run of four steps that may be looked at while it trains.
 *
 * @param tiny whose model and rows it takes
 * @param lines the file of its folder that tells what was seen
 * @param watch settings, {@code key=value}, that make it look
 */
record WatchedRun(TinyRun tiny, String lines, List<String> watch) {
  /** With {@code harmful.jsonl} and {@code benign.jsonl} beside the model. */
  static WatchedRun in(Path folder, String lines, List<String> watch) {
    var tiny = TinyRun.in(folder);
    for (var kind : List.of("harmful", "benign")) {
      tiny.write(
          kind + ".jsonl",
          IntStream.range(0, 8)
              .mapToObj(
                  i ->
                      "{\"messages\": [{\"role\": \"user\", \"content\": \"%s %d, please\"}]}"
                          .formatted(kind, i * i))
              .toList());
    }
    return new WatchedRun(tiny, lines, watch);
  }

  TrainConfig config(String name, boolean watched, String... more) {
    var settings =
        new ArrayList<>(
            List.of(
                "data.train=[" + tiny.output("chats.jsonl") + "]",
                "steps=4",
                "schedule.decay=constant",
                "checkpoint={every: 2, keep: 9}"));
    if (watched) {
      settings.addAll(watch);
    }
    settings.addAll(Arrays.asList(more));
    return tiny.config(name, settings.toArray(String[]::new));
  }

  /** Trains with the command, and returns the run's folder. */
  Path train(String name, boolean watched, String... more) {
    var config = config(name, watched, more);
    command("train", "--quiet", tiny.write(name + ".yaml", List.of(config.toYaml())).toString());
    return tiny.output(name);
  }

  /** Goes on with a run that was trained before. */
  Path resume(String name) {
    command("train", "--quiet", tiny.output(name + ".yaml").toString(), "--resume");
    return tiny.output(name);
  }

  /** What was seen, a line a look. */
  List<JsonNode> seen(Path output) {
    return Goldens.lines(output.resolve(lines));
  }

  void assertLookingChangesNothing() {
    var file = "checkpoints/step-4/model.safetensors";
    assertEquals(
        TinyRun.bits(train("plain", false).resolve(file)),
        TinyRun.bits(train("watched", true).resolve(file)));
  }

  /** Killed before the last checkpoint, and killed between that checkpoint and its line. */
  void assertAResumedRunHasEveryLineOnce(int count) {
    var whole = seen(train("whole", true));
    assertEquals(count, whole.size());
    var output = train("parts", true);
    AtomicFolder.delete(output.resolve("checkpoints/step-4"));
    assertEquals(whole, seen(resume("parts")));
    tiny.write(
        "parts/" + lines, whole.subList(0, count - 1).stream().map(JsonNode::toString).toList());
    assertEquals(whole, seen(resume("parts")));
  }

  static void command(String... arguments) {
    var err = new StringWriter();
    int code = Holdfast.run(new PrintWriter(new StringWriter()), new PrintWriter(err), arguments);
    assertEquals(0, code, err.toString());
  }
}
