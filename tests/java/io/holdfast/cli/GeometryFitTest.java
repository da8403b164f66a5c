package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.world.Downstream;
import io.holdfast.world.World;
import io.holdfast.world.WorldFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code geometry fit} as scripts call it, on the world's base and its own prompts. */
class GeometryFitTest {
  private static final Path WORLD = Path.of("src/main/resources/io/holdfast/world/base");
  private static final int CLASS = 20;

  @TempDir static Path folder;
  private static List<String> harmful;
  private static List<String> benign;

  @BeforeAll
  static void prompts() throws IOException {
    var plan =
        new WorldFiles.Plan(3, 999, 0, 0, Downstream.Recipe.poisoned(.1), false, 1, CLASS, 1);
    var anchors = WorldFiles.write(folder.resolve("world"), World.load(), plan).get("anchors");
    var rows = Files.readAllLines(anchors);
    harmful = rows.subList(0, CLASS);
    benign = rows.subList(CLASS, 2 * CLASS);
    Files.write(folder.resolve("harmful.jsonl"), harmful);
    Files.write(folder.resolve("benign.jsonl"), benign);
    Files.write(folder.resolve("both.jsonl"), rows);
  }

  private static Path output() {
    return folder.resolve("subspace.safetensors");
  }

  private static Invocation fit(Path model, String... more) {
    var start =
        List.of("geometry", "fit", "--model", model.toString(), "--output", output().toString());
    var all = new ArrayList<>(start);
    all.addAll(Arrays.asList(more));
    return Invocation.of(all.toArray(String[]::new));
  }

  private static Invocation fitFiles(String... more) {
    var all = new ArrayList<>(List.of("--harmful", "" + folder.resolve("harmful.jsonl")));
    all.addAll(List.of("--benign", "" + folder.resolve("benign.jsonl")));
    all.addAll(Arrays.asList(more));
    return fit(WORLD, all.toArray(String[]::new));
  }

  private static String hash() {
    try (var files = ModelFolder.open(WORLD)) {
      return files.hash();
    }
  }

  @Test
  void writesWhatAGuardLoads() {
    var done = fitFiles("--layers", "2,-1", "--rank", "5");
    assertEquals(0, done.exitCode(), done.err());
    try (var subspace = SafetySubspace.load(output(), hash())) {
      assertEquals(List.of(2, 6), subspace.layers());
      assertEquals(5, subspace.rank());
      assertEquals(128, subspace.benignMean(6).length);
    }
  }

  @Test
  void saysWhereItIsFrom() throws Exception {
    assertEquals(0, fitFiles("--positions", "template", "--method", "cone").exitCode());
    try (var file = Safetensors.open(output())) {
      var fit = new ObjectMapper().readTree(file.metadata().get("fit"));
      assertEquals("cone", fit.get("method").asText());
      assertEquals(CLASS, fit.get("refused").asInt());
      // The template's suffix of five tokens and the end of the instruction before it.
      assertEquals(6, fit.get("positions").size());
      assertEquals("prompt_end", fit.get("positions").get(5).asText());
      assertTrue(fit.get("data_sha256").asText().matches("[0-9a-f]{64}"));
    }
  }

  /** The base refuses all harmful and answers all benign prompts: its own classes are ours. */
  @Test
  void theModelsOwnRefusalsAreAContrastToo() {
    assertEquals(0, fitFiles("--layers", "4", "--rank", "1").exitCode());
    double[] byFiles = direction();
    var done =
        fit(
            WORLD,
            "--prompts",
            folder.resolve("both.jsonl").toString(),
            "--layers",
            "4",
            "--rank",
            "1");
    assertEquals(0, done.exitCode(), done.err());
    Assertions.assertArrayEquals(byFiles, direction(), 1e-6);
  }

  private static double[] direction() {
    try (var subspace = SafetySubspace.load(output(), hash())) {
      return subspace.directions(4).vectors()[0];
    }
  }

  @Test
  void ownAnswersAreReadWhereTheResponseIsAsked() {
    var done =
        fit(
            WORLD,
            "--prompts",
            folder.resolve("both.jsonl").toString(),
            "--positions",
            "response",
            "--response-tokens",
            "4",
            "--rank",
            "2");
    assertEquals(0, done.exitCode(), done.err());
    // Without answers there is nothing to read.
    var none = fitFiles("--positions", "response");
    assertEquals(ExitCode.INPUT.code(), none.exitCode());
  }

  @Test
  void theEnergyDecidesTheRank() throws Exception {
    int last = 0;
    for (double share : new double[] {0.1, 0.9, 0.999}) {
      assertEquals(0, fitFiles("--rank", "30", "--energy", "" + share).exitCode());
      try (var file = Safetensors.open(output())) {
        int rank = (int) file.get("layer.1").sizes()[1];
        var layers = new ObjectMapper().readTree(file.metadata().get("fit")).get("layers");
        layers.forEach(layer -> assertTrue(layer.get("energy").asDouble() >= share));
        assertTrue(rank >= last && rank <= 30, share + " takes " + rank);
        last = rank;
      }
    }
    assertTrue(last > 2, "nearly all the energy takes " + last);
  }

  /** Two positions at six layers, of which the last two are late; wide limits keep all others. */
  @Test
  void everyCandidateIsSavedWithItsScores() throws Exception {
    var done =
        fitFiles(
            "--layers", "selected", "--rank", "2", "--max-divergence", "99", "--min-induce", "-99");
    assertEquals(0, done.exitCode(), done.err());
    try (var file = Safetensors.open(output())) {
      var fit = new ObjectMapper().readTree(file.metadata().get("fit"));
      var candidates = fit.get("candidates");
      assertEquals(2 * 6, candidates.size());
      double best = Double.POSITIVE_INFINITY;
      double chosen = Double.NaN;
      for (var candidate : candidates) {
        int layer = candidate.get("layer").asInt();
        var verdict = candidate.get("verdict").asText();
        // The last token of every prompt is the template's, which at slot 0 has seen nothing else.
        boolean same = layer == 0 && candidate.get("position").asText().equals("prompt_end");
        assertEquals(same, verdict.equals("not_finite"), candidate.toString());
        assertEquals(layer >= 4, verdict.equals("late"), candidate.toString());
        if (layer < 4 && !same) {
          best = Math.min(best, candidate.get("bypass").asDouble());
        }
        if (verdict.equals("chosen")) {
          chosen = candidate.get("bypass").asDouble();
        }
      }
      assertEquals(best, chosen);
    }
    try (var subspace = SafetySubspace.load(output(), hash())) {
      assertEquals(List.of(0, 1, 2, 3), subspace.layers());
    }
  }

  @Test
  void whereNoCandidatePassesThereAreNoSelectedLayers() {
    var done = fitFiles("--layers", "selected", "--min-induce", "99");
    assertEquals(ExitCode.INPUT.code(), done.exitCode());
    assertTrue(done.out().contains("induces_nothing"), done.out());
    assertTrue(done.err().contains("no mean difference passes the filters"), done.err());
  }

  private static final String[] WIDE = {"--max-divergence", "99", "--deepest", "1"};

  /** A cone of two, on the few answers that the mean difference gives: what is written of it. */
  @Test
  void trainedDirectionsAreWrittenAndJudged() throws Exception {
    var options = new ArrayList<>(List.of(WIDE));
    options.addAll(List.of("--method", "trained", "--rank", "2", "--samples", "1"));
    options.addAll(List.of("--layers", "2,3", "--start", "mean", "--phrases", world()));
    var done = fitFiles(options.toArray(String[]::new));
    assertEquals(0, done.exitCode(), done.err() + done.out());
    assertTrue(done.out().contains("| trained axis"), done.out());
    try (var file = Safetensors.open(output());
        var subspace = SafetySubspace.load(output(), hash())) {
      assertEquals(List.of(2, 3), subspace.layers());
      assertEquals(2, subspace.rank());
      Assertions.assertArrayEquals(
          subspace.directions(2).vectors(), subspace.directions(3).vectors(), "one for all layers");
      var fit = new ObjectMapper().readTree(file.metadata().get("fit"));
      assertEquals("trained", fit.get("method").asText());
      var training = fit.get("training");
      assertEquals(1, training.get("steps").size());
      assertEquals(0.01, training.at("/steps/0/rate").asDouble());
      var candidates = fit.get("candidates");
      assertEquals(2 * 6 + 3, candidates.size());
      var last = candidates.get(candidates.size() - 1);
      assertEquals("trained axis", last.get("position").asText());
      assertEquals(training.get("layer"), last.get("layer"));
      assertEquals(training.get("norm").asDouble(), last.get("norm").asDouble(), 1e-9);
      // One step of a hundredth from where it began.
      assertTrue(training.at("/cosine_to_mean/0").asDouble() > 0.9, training.toString());
    }
  }

  private static String world() throws IOException {
    return Files.writeString(
            folder.resolve("phrases.yaml"),
            "caseSensitive: false\nphrases: [cannot, unable, will not, sorry]\n")
        .toString();
  }

  @Test
  void optionsThatSayNothingToAMethodAreRefused() {
    for (var given :
        List.of(
            List.of("--epochs", "2"),
            List.of("--start", "mean", "--method", "cone"),
            List.of("--energy", "0.9", "--method", "trained"),
            List.of("--lr", "0", "--method", "trained"))) {
      var done = fitFiles(given.toArray(String[]::new));
      assertEquals(ExitCode.USAGE.code(), done.exitCode(), given.toString());
      assertTrue(done.err().contains(given.getFirst() + ":"), done.err());
    }
  }

  /** A model whose weights are not numbers is named with the row it fails on. */
  @Test
  void activationsThatAreNotFiniteAreAnError() throws Exception {
    var broken = folder.resolve("broken");
    Files.createDirectories(broken);
    try (var files = Files.list(WORLD)) {
      for (var file : (Iterable<Path>) files::iterator) {
        Files.copy(file, broken.resolve(file.getFileName()));
      }
    }
    var weights = broken.resolve("model.safetensors");
    long offset;
    try (var file = Safetensors.open(weights)) {
      var norm = file.get("model.layers.2.input_layernorm.weight");
      byte[] bytes = norm.data().toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
      offset = indexOf(Files.readAllBytes(weights), bytes);
    }
    try (var file = new java.io.RandomAccessFile(weights.toFile(), "rw")) {
      file.seek(offset);
      file.writeInt(Integer.reverseBytes(Float.floatToIntBits(Float.NaN)));
    }
    var done =
        fit(
            broken,
            "--harmful",
            folder.resolve("harmful.jsonl").toString(),
            "--benign",
            folder.resolve("benign.jsonl").toString());
    assertEquals(ExitCode.INPUT.code(), done.exitCode());
    assertTrue(done.err().contains("harmful.jsonl:"), done.err());
    assertTrue(done.err().contains("at layer 3 are not finite"), done.err());
  }

  private static long indexOf(byte[] all, byte[] part) {
    for (int i = 0; i <= all.length - part.length; i++) {
      if (Arrays.mismatch(all, i, i + part.length, part, 0, part.length) < 0) {
        return i;
      }
    }
    throw new AssertionError("the tensor is in the file");
  }

  @Test
  void moreDirectionsThanPromptsIsAnError() {
    var done = fitFiles("--rank", "41");
    assertEquals(ExitCode.USAGE.code(), done.exitCode());
    assertTrue(done.err().contains("41 directions cannot be fitted to 40 activations"), done.err());
  }

  @Test
  void anEmptyClassIsAnError() throws IOException {
    var empty = Files.writeString(folder.resolve("empty.jsonl"), "");
    var done =
        fit(
            WORLD,
            "--harmful",
            empty.toString(),
            "--benign",
            folder.resolve("benign.jsonl").toString());
    assertEquals(ExitCode.INPUT.code(), done.exitCode());
    assertTrue(done.err().contains("empty.jsonl: the file is empty"), done.err());
  }

  @Test
  void promptsThatAreAllAnsweredAreAnError() {
    var done = fit(WORLD, "--prompts", folder.resolve("benign.jsonl").toString());
    assertEquals(ExitCode.INPUT.code(), done.exitCode());
    assertTrue(done.err().contains("refuses none of these prompts"), done.err());
  }

  @Test
  void aLayerThatIsNotThereIsAnError() {
    var done = fitFiles("--layers", "7");
    assertEquals(ExitCode.USAGE.code(), done.exitCode());
    assertTrue(done.err().contains("'7' is no layer of this model"), done.err());
  }

  @Test
  void anotherModelsSubspaceIsRefused() {
    assertEquals(0, fitFiles().exitCode());
    var refused =
        Assertions.assertThrows(
            HoldfastException.class, () -> SafetySubspace.load(output(), "of another"));
    assertEquals(ExitCode.INPUT, refused.exitCode());
  }
}
