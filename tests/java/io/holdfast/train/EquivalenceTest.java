package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.holdfast.Goldens;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How a window is cut into batches must not be seen in what is learnt. */
class EquivalenceTest {
  @TempDir Path folder;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  /** 13 rows of unlike lengths in windows of 4: windows reach over the ends of epochs. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "guard.kl={risk_column: risk, direction: reverse}",
        "guard.kl={weight: 0.5}",
        "guard.subspace={rank: 2, filter: 0.5, weight: 2, risk_column: risk, contrast: {harmful:"
            + " FOLDER/prompts.jsonl, benign: FOLDER/others.jsonl}}"
      })
  void batchTimesAccumulationIsOneWindow(String guard) {
    var tiny = TinyRun.in(folder);
    tiny.write("prompts.jsonl", prompts("the red lamp", "a river", "bread", "seven clouds"));
    tiny.write("others.jsonl", prompts("stone", "the blue cloud", "a lamp", "seven"));
    var rows = "data.train=[" + folder.resolve("chats.jsonl") + "]";
    var expected = losses(tiny, "4x1", 4, 1, rows, guard);
    for (int batch : new int[] {2, 1}) {
      var name = batch + "x" + 4 / batch;
      var actual = losses(tiny, name, batch, 4 / batch, rows, guard);
      for (int step = 0; step < 20; step++) {
        assertEquals(
            1, actual.get(step)[0] / expected.get(step)[0], 1e-5, name + " loss, step " + step);
        assertEquals(
            1, actual.get(step)[1] / expected.get(step)[1], 1e-3, name + " norm, step " + step);
      }
    }
  }

  private static List<double[]> losses(
      TinyRun tiny, String name, int batch, int accumulation, String rows, String guard) {
    var changes =
        new java.util.ArrayList<>(
            List.of(
                rows,
                "batch_size=" + batch,
                "accumulation=" + accumulation,
                // Adam divides by the gradient's size: what is near zero must not be all noise.
                "optimizer.eps=1e-4"));
    if (!guard.isEmpty()) {
      changes.add(guard.replace("FOLDER", tiny.output("").toString()));
    }
    TinyRun.train(tiny.config(name, changes.toArray(String[]::new)));
    return Goldens.lines(tiny.output(name).resolve("metrics.jsonl")).stream()
        .map(line -> new double[] {line.get("loss").asDouble(), line.get("grad_norm").asDouble()})
        .toList();
  }

  private static List<String> prompts(String... texts) {
    return java.util.Arrays.stream(texts)
        .map("{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}]}"::formatted)
        .toList();
  }

  /** A mean over each batch would weigh the one token of the short row as much as the long row. */
  @Test
  void everySupervisedTokenOfTheWindowCountsTheSame() {
    var tiny = TinyRun.in(folder);
    var rows = List.of("{\"tokens\": [5, 6]}", "{\"tokens\": [7, 8, 9, 10, 11, 12, 13, 14]}");
    var both = "data.train=[" + tiny.write("two.jsonl", rows) + "]";
    double loss = first(tiny, "both", both, "batch_size=1", "accumulation=2");
    double[] alone = new double[2];
    for (int i = 0; i < 2; i++) {
      var one = tiny.write(i + ".jsonl", rows.subList(i, i + 1));
      alone[i] = first(tiny, "one" + i, "data.train=[" + one + "]", "batch_size=1");
    }
    assertEquals((alone[0] + 7 * alone[1]) / 8, loss, 1e-5);
  }

  private static double first(TinyRun tiny, String name, String... settings) {
    var changes = new java.util.ArrayList<>(List.of(settings));
    changes.add("steps=1");
    TinyRun.train(tiny.config(name, changes.toArray(String[]::new)));
    var line = Goldens.lines(tiny.output(name).resolve("metrics.jsonl")).getFirst();
    return line.get("loss").asDouble();
  }

  /** PyTorch: {@code (1 - eps) (-log p_label) + eps mean of -log p} over the vocabulary. */
  @Test
  void labelSmoothingIsPyTorchs() {
    var tiny = TinyRun.in(folder);
    var tokens = new int[] {7, 8, 9, 10};
    var rows = tiny.write("one.jsonl", List.of("{\"tokens\": [7, 8, 9, 10]}"));
    double expected = 0;
    try (var scope = Scope.open();
        var noGrad = NoGrad.on();
        var model = Decoder.load(tiny.model())) {
      var ids = Tokens.leftPadded(List.of(tokens), null);
      var hidden = model.forward(ids, AdapterMode.ON, List.of());
      var logs = model.logits(hidden.reshape(-1, hidden.size(-1))).log_softmax(1);
      for (int i = 0; i < 3; i++) {
        var row = logs.select(0, i);
        expected -=
            0.7 * row.select(0, tokens[i + 1]).item_double() + 0.3 * row.mean().item_double();
      }
    }
    double loss =
        first(tiny, "smooth", "data.train=[" + rows + "]", "label_smoothing=0.3", "batch_size=1");
    assertEquals(expected / 3, loss, 1e-5);
  }
}
