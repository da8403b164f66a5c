package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import io.holdfast.cli.Holdfast;
import io.holdfast.torch.Scope;
import io.holdfast.train.config.TrainConfig;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Suites that run while training: when they do, what they write, and that training is the same. */
class EvaluatedRunTest {
  private static final String LORA = "tune={lora: {rank: 4, alpha: 8, dropout: 0.1}}";

  @TempDir Path folder;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private Path suite(TinyRun tiny) {
    tiny.write(
        "asked.jsonl",
        List.of(
            "{\"prompt\": \"Say red stone\", \"completion\": \"It is red\"}",
            "{\"prompt\": \"Say\", \"completion\": \"It\"}",
            "{\"messages\": [{\"role\": \"system\", \"content\": \"Say\"},"
                + " {\"role\": \"user\", \"content\": \"river seven\"}]}"));
    return tiny.write(
        "suite.yaml",
        List.of(
            "max_new_tokens: 7",
            "sets:",
            "  known: {file: asked.jsonl, measure: utility, judge: exact, limit: 2}",
            "  open: {file: asked.jsonl, measure: asr, judge: arditi}",
            "gates: ['utility<1', 'asr<0']"));
  }

  private static int train(TinyRun tiny, TrainConfig config, String... more) {
    var arguments = new ArrayList<>(List.of("--quiet", "train"));
    arguments.add(tiny.write("resolved.yaml", List.of(config.toYaml())).toString());
    arguments.addAll(List.of(more));
    var err = new StringWriter();
    int code =
        Holdfast.run(
            new PrintWriter(new StringWriter()),
            new PrintWriter(err),
            arguments.toArray(String[]::new));
    assertEquals(0, code, err.toString());
    return code;
  }

  private static List<JsonNode> evaluations(Path run) {
    return Goldens.lines(run.resolve("evals.jsonl"));
  }

  private static List<Long> steps(Path run) {
    return evaluations(run).stream().map(line -> line.get("step").asLong()).toList();
  }

  @Test
  void theRunIsTheSameWithAndWithoutASuite() {
    var tiny = TinyRun.in(folder);
    var eval = "eval={every: 8, suite: %s}".formatted(suite(tiny));
    var rows = "data.train=[" + folder.resolve("chats.jsonl") + "]";
    train(tiny, tiny.config("without", LORA, rows));
    train(tiny, tiny.config("with", LORA, rows, eval));
    var without = tiny.output("without");
    var with = tiny.output("with");
    assertEquals(TinyRun.metrics(without), TinyRun.metrics(with));
    for (var name : List.of("adapter_model.safetensors", "optimizer.safetensors")) {
      var file = "checkpoints/step-20/" + name;
      assertEquals(TinyRun.bits(without.resolve(file)), TinyRun.bits(with.resolve(file)));
    }
    assertEquals(List.of(8L, 16L, 20L), steps(with));
    var last = evaluations(with).getLast();
    assertEquals(2, answers(last.get("sets").get("known")));
    assertEquals(3, answers(last.get("sets").get("open")));
    assertEquals("[\"utility<1.0\"]", last.get("missed_gates").toString());
    var scalars =
        EventFile.read(EventFile.of(with).getFirst()).stream()
            .filter(event -> event.scalars().containsKey("eval/utility"))
            .map(EventFile.Event::step)
            .toList();
    assertEquals(List.of(8L, 16L, 20L), scalars);
  }

  private static int answers(JsonNode set) {
    int sum = 0;
    for (var count : set.get("outcomes")) {
      sum += count.asInt();
    }
    return sum;
  }

  /** What a model says after three tokens. */
  private static final Evaluator.Loader ANSWER =
      suite ->
          (model, chat) -> {
            var continued =
                new io.holdfast.model.Generator(model, List.of(), 1)
                    .generate(
                        List.of(new int[] {5, 6, 7}),
                        io.holdfast.model.Generation.greedy(9, java.util.Set.of()));
            int[] ids = continued.getFirst().ids();
            return JsonNodeFactory.instance
                .objectNode()
                .put("answer", java.util.Arrays.toString(ids));
          };

  @Test
  void anInterruptedRunEvaluatesEachStepOnce() {
    var tiny = TinyRun.in(folder);
    var settings =
        new String[] {
          "schedule.decay=constant", "eval={every: 3, suite: %s}".formatted(suite(tiny))
        };
    run(tiny.config("whole", settings), false, ANSWER);
    var whole = evaluations(tiny.output("whole"));
    assertEquals(List.of(3L, 6L, 9L, 12L, 15L, 18L, 20L), steps(tiny.output("whole")));
    assertNotEquals(
        whole.getFirst().get("answer"), whole.getLast().get("answer"), "the model learnt nothing");

    // Stopped in the evaluation after step 6, whose checkpoint was written before.
    var cut = new ArrayList<>(List.of(settings));
    cut.add("checkpoint.every=6");
    var config = tiny.config("cut", cut.toArray(String[]::new));
    Assertions.assertThrows(
        HoldfastException.class, () -> run(config, false, suite -> failing(suite, 2)));
    assertEquals(List.of(3L), steps(tiny.output("cut")));
    run(config, true, ANSWER);
    assertEquals(whole, evaluations(tiny.output("cut")));

    // Nothing is left to do: nothing is done again.
    run(config, true, suite -> failing(suite, 1));
    assertEquals(whole, evaluations(tiny.output("cut")));
  }

  private static Evaluator failing(Path suite, int call) {
    var calls = new int[1];
    var answer = ANSWER.load(suite);
    return (model, chat) -> {
      if (++calls[0] == call) {
        throw HoldfastException.input("the suite broke");
      }
      return answer.evaluate(model, chat);
    };
  }

  private static void run(TrainConfig config, boolean resume, Evaluator.Loader loader) {
    TrainRun.run(config, resume, Progress.Style.NONE, loader);
  }

  /** The line of a step is what the checkpoint of that step gets when asked alone. */
  @ParameterizedTest
  @EnumSource
  void aLineIsWhatTheCheckpointAnswers(TrainConfig.Precision precision) {
    var tiny = TinyRun.in(folder);
    var config =
        tiny.config(
            "run",
            "precision=" + precision.name().toLowerCase(java.util.Locale.ROOT),
            "checkpoint.every=5",
            "eval={every: 5, suite: %s}".formatted(suite(tiny)));
    run(config, false, ANSWER);
    for (var line : evaluations(tiny.output("run")).subList(1, 4)) {
      var checkpoint = tiny.output("run").resolve("checkpoints/step-" + line.get("step").asInt());
      try (var model = io.holdfast.model.Decoder.load(checkpoint, precision.dtype())) {
        var alone = ANSWER.load(null).evaluate(model, null);
        assertEquals(alone.get("answer"), line.get("answer"));
      }
    }
  }

  @Test
  void aSuiteThatIsWrongIsFoundBeforeTraining() {
    var tiny = TinyRun.in(folder);
    var file = tiny.write("suite.yaml", List.of("sets: {a: {file: none.jsonl, measure: asr}}"));
    var config = tiny.config("run", "eval={every: 5, suite: %s}".formatted(file));
    var err = new StringWriter();
    int code =
        Holdfast.run(
            new PrintWriter(new StringWriter()),
            new PrintWriter(err),
            "train",
            tiny.write("resolved.yaml", List.of(config.toYaml())).toString());
    assertEquals(2, code);
    assertTrue(err.toString().contains("suite.yaml: set 'a' has no judge"), err.toString());
    Assertions.assertFalse(java.nio.file.Files.exists(tiny.output("run")));
  }
}
