package io.holdfast.risk;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.SafetensorsWriter;
import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.data.Place;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tokens;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Message;
import io.holdfast.text.Position;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.world.Anchors;
import io.holdfast.world.World;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Scalar;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The activation risk predictor on the base of the world, where harm is known to be read. */
class RiskPredictorTest {
  private static final Path BASE = Path.of("src/main/resources/io/holdfast/world/base");
  private static final int EACH = 40;

  private static Decoder model;
  private static List<Example> harmful;
  private static List<Example> benign;
  private static PredictorFit.Result fitted;

  @TempDir Path folder;

  @BeforeAll
  static void fit() {
    model = Decoder.load(BASE);
    var anchors = Anchors.draw(World.load(), EACH, 3);
    try (var chat = ChatTokenizer.load(BASE)) {
      harmful = prompts(anchors.harmful().stream().map(c -> c.user()), "harmful.jsonl", chat);
      benign = prompts(anchors.benign().stream().map(c -> c.user()), "benign.jsonl", chat);
    }
    fitted = PredictorFit.fit(model, harmful, benign, settings(List.of(0, 4), 3), "a model");
  }

  private static List<Example> prompts(Stream<String> users, String file, ChatTokenizer chat) {
    var texts = users.toList();
    return IntStream.range(0, texts.size())
        .mapToObj(
            i -> {
              var encoded = chat.encode(List.of(new Message("user", texts.get(i))), true);
              return new Example(
                  "p" + i,
                  encoded.ids(),
                  new boolean[encoded.ids().length],
                  encoded.instructionEnd(),
                  encoded.promptEnd(),
                  Float.NaN,
                  new Place(Path.of(file), i + 1));
            })
        .toList();
  }

  private static PredictorFit.Settings settings(List<Integer> layers, int folds) {
    return new PredictorFit.Settings(
        layers, List.of(Position.INSTRUCTION_END, Position.PROMPT_END), folds, 0.25, 0.9, 8, 1);
  }

  @AfterAll
  static void close() {
    model.close();
    assertEquals(0, Scope.live(), "scopes left open");
  }

  @Test
  void readsHarmAndTheControlDoesNot() {
    var report = fitted.report();
    assertTrue(report.auroc().value() > 0.95, "AUROC " + report.auroc());
    assertTrue(report.auroc().low() <= report.auroc().value());
    assertTrue(Math.abs(report.shuffledAuroc() - 0.5) < 0.2, "control " + report.shuffledAuroc());
    assertTrue(report.shuffledHighest() < report.auroc().value());
    assertArrayEquals(new int[] {30, 30}, report.trained());
    assertArrayEquals(new int[] {10, 10}, report.tested());
    assertEquals(20, report.reliability().stream().mapToInt(Discrimination.Bin::count).sum());
  }

  /** 2 layers x 2 positions x 3 ridges, and a network at the best three places. */
  @Test
  void everyCandidateIsReportedTheBestFirst() {
    var candidates = fitted.report().candidates();
    assertEquals(15, candidates.size());
    assertEquals(3, candidates.stream().filter(c -> c.kind().equals("mlp")).count());
    for (int i = 1; i < candidates.size(); i++) {
      assertTrue(candidates.get(i - 1).auroc() >= candidates.get(i).auroc());
    }
    assertEquals(candidates.getFirst(), fitted.report().chosen());
    assertEquals(fitted.predictor().layer(), fitted.report().chosen().layer());
    // The embedding of a template's token says nothing of what was asked.
    candidates.stream()
        .filter(c -> c.layer() == 0 && c.position() == Position.PROMPT_END)
        .forEach(c -> assertEquals(0.5, c.auroc(), 1e-9));
  }

  @Test
  void whatIsReadIsWhatWasWritten() {
    for (var kind : List.of("logistic", "mlp")) {
      var candidate =
          fitted.report().candidates().stream().filter(c -> c.kind().equals(kind)).findFirst();
      var states = new double[][] {{1, 2}, {2, 0.5}};
      var others = new double[][] {{0, 1}, {-1, 1}};
      var classifier = candidate.orElseThrow().fit(states, others, 1);
      var predictor =
          new RiskPredictor("hash", 1, Position.INSTRUCTION_END, classifier, 0.25, false);
      var file = folder.resolve(kind + ".safetensors");
      predictor.save(file, Map.of("data", "d"));
      // Its width is not this model's: only then does reading get as far as that.
      var error = refused(file, "hash");
      assertTrue(error.getMessage().contains("states of width 2, the model's have"));
    }
    var file = folder.resolve("own.safetensors");
    fitted.predictor().save(file, Map.of("data", "d"));
    var read = RiskPredictor.load(file, "a model", model);
    assertEquals(fitted.predictor().threshold(), read.threshold());
    assertEquals(fitted.predictor().position(), read.position());
    assertArrayEquals(fitted.predictor().risks(model, harmful), read.risks(model, harmful), 0f);
  }

  private HoldfastException refused(Path file, String hash) {
    var error = assertThrows(HoldfastException.class, () -> RiskPredictor.load(file, hash, model));
    assertEquals(ExitCode.INPUT, error.exitCode());
    assertTrue(error.getMessage().startsWith(file.toString()), error.getMessage());
    return error;
  }

  @Test
  void aPredictorOfAnotherModelIsRefused() {
    var file = folder.resolve("p.safetensors");
    fitted.predictor().save(file, Map.of());
    assertTrue(refused(file, "another").getMessage().contains("fitted on another model (a model"));
  }

  @Test
  void aLayerThatTheModelDoesNotHaveIsRefused() {
    var own = fitted.predictor();
    var file = folder.resolve("p.safetensors");
    new RiskPredictor("a model", 40, own.position(), own.classifier(), 0.5, false)
        .save(file, Map.of());
    assertTrue(refused(file, "a model").getMessage().contains("reads layer 40"));
  }

  @Test
  void whatIsNoPredictorIsRefused() {
    var file = folder.resolve("p.safetensors");
    SafetensorsWriter.write(file, List.of(), Map.of());
    assertTrue(refused(file, "a model").getMessage().contains("not a risk predictor"));
    SafetensorsWriter.write(
        file, List.of(), Map.of("holdfast", "risk-predictor 1", "model", "a model"));
    assertTrue(refused(file, "a model").getMessage().contains("not a whole risk predictor"));
  }

  /** Batches of the whole rows in training, packed or not, against a pass over the prompts. */
  @Test
  void risksReadOnTheWayAreThoseOfThePrompts() {
    var rows =
        Stream.concat(harmful.stream().limit(3), benign.stream().limit(4))
            .map(RiskPredictorTest::answered)
            .toList();
    float[] expected = fitted.predictor().risks(model, rows);
    for (var batch : List.of(Batch.of(rows, 0), Batch.packed(rows))) {
      var risks = new RowRisks(0, fitted.predictor());
      var reading = risks.reading(batch).orElseThrow();
      try (var scope = Scope.open();
          var noGrad = NoGrad.on()) {
        model.forward(Tokens.of(batch), AdapterMode.ON, List.of(reading));
      }
      var read = risks.read(batch, reading);
      for (int i = 0; i < expected.length; i++) {
        assertEquals(expected[i], read.get(i).risk(), 1e-4);
      }
    }
    // The probability says which are harmful.
    assertTrue(expected[0] > 0.5 && expected[6] < 0.5);
    float[] hard = fitted.predictor().hard(true).risks(model, rows);
    for (int i = 0; i < hard.length; i++) {
      assertEquals(expected[i] >= fitted.predictor().threshold() ? 1 : 0, hard[i]);
    }
  }

  /** The same prompt with three tokens of an answer, which are learnt. */
  private static Example answered(Example prompt) {
    int length = prompt.length();
    int[] ids = Arrays.copyOf(prompt.ids(), length + 3);
    Arrays.fill(ids, length, length + 3, 310);
    var target = new boolean[ids.length];
    Arrays.fill(target, length, length + 3, true);
    return new Example(
        prompt.id(),
        ids,
        target,
        prompt.instructionEnd(),
        prompt.promptEnd(),
        Float.NaN,
        prompt.place());
  }

  /** The third prompt's own token makes its states NaN, and no others'. */
  @Test
  void aStateThatIsNotANumberIsNamed() {
    try (var broken = model.copy()) {
      int[] third = benign.get(2).ids();
      int[] all =
          Stream.concat(harmful.stream(), benign.stream().filter(e -> e != benign.get(2)))
              .flatMapToInt(e -> Arrays.stream(e.ids()))
              .toArray();
      var own = Arrays.stream(third).filter(id -> Arrays.stream(all).noneMatch(o -> o == id));
      var id = own.findFirst();
      var at = id.isPresent() ? benign.get(2) : harmful.getFirst();
      try (var scope = Scope.open();
          var noGrad = NoGrad.on()) {
        var embedding = broken.weights().get("model.embed_tokens.weight");
        embedding.select(0, id.orElse(at.ids()[1])).fill_(new Scalar(Double.NaN));
      }
      var error =
          assertThrows(
              HoldfastException.class,
              () -> PredictorFit.fit(broken, harmful, benign, settings(List.of(1), 3), "m"));
      assertEquals(ExitCode.INPUT, error.exitCode());
      assertTrue(error.getMessage().startsWith(at.place().toString()), error.getMessage());
      assertTrue(error.getMessage().contains("hidden state at layer 1 is NaN"), error.getMessage());
      assertThrows(HoldfastException.class, () -> fitted.predictor().risks(broken, List.of(at)));
    }
  }

  @Test
  void tooFewPromptsForTheFoldsAreRefused() {
    var error =
        assertThrows(
            HoldfastException.class,
            () ->
                PredictorFit.fit(
                    model, harmful, benign.subList(0, 3), settings(List.of(1), 3), ""));
    assertTrue(
        error.getMessage().startsWith("benign.jsonl: 3 prompts leave 2 after the test's share"),
        error.getMessage());
  }
}
