package io.holdfast.cli.demo;

import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.cli.Answers;
import io.holdfast.data.Example;
import io.holdfast.data.ExampleReader;
import io.holdfast.data.RowReader;
import io.holdfast.data.Rows;
import io.holdfast.eval.WorldCritic;
import io.holdfast.eval.WorldCriticServer;
import io.holdfast.eval.WorldEvaluation;
import io.holdfast.eval.WorldReport;
import io.holdfast.geometry.PromptActivations;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.guard.SubspaceDrift;
import io.holdfast.guard.SubspaceFit;
import io.holdfast.model.Decoder;
import io.holdfast.risk.LogisticProbe;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.world.Anchors;
import io.holdfast.world.Downstream;
import io.holdfast.world.EvaluationSet;
import io.holdfast.world.World;
import io.holdfast.world.WorldFiles;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.SequencedMap;

/**
 * What all arms of a seed share: an aligned base, the data that whoever fine-tunes it has, a safety
 * subspace and its random control, risks of rows from several sources, and the evaluation.
 */
final class TestBed implements AutoCloseable {
  private static final List<Integer> LAYERS = List.of(2, 3, 4, 5, 6);
  private static final int RANK = 16;
  private static final int PROBE_LAYER = 4;
  private static final double RIDGE = 1e-2;
  private static final int PER_CLASS = 200;
  private static final int NEW_TOKENS = 48;
  private static final int TOGETHER = 160;

  private final World world;
  private final Path base;
  private final Path folder;
  private final long seed;
  private final WorldEvaluation judges;
  private final ChatTokenizer chat;
  private final Decoder reference;
  private final ExampleReader reader;
  private final SafetySubspace subspace;
  private final LogisticProbe probe;
  private final WorldCriticServer critic;

  /**
   * Makes what is missing in a folder.
   *
   * @param base the aligned model
   * @param judges how models are judged
   */
  TestBed(World world, Path base, Path folder, long seed, WorldEvaluation judges) {
    this.world = world;
    this.base = base;
    this.folder = folder;
    this.seed = seed;
    this.judges = judges;
    this.chat = ChatTokenizer.load(base);
    this.reference = Decoder.load(base);
    this.reader =
        new ExampleReader(
            new RowReader(chat), ExampleReader.LossOn.COMPLETION, 128, Optional.empty());
    var anchors = Anchors.draw(world, PER_CLASS, seed);
    WorldFiles.prompts(file("harmful"), anchors.harmful());
    WorldFiles.prompts(file("benign"), anchors.benign());
    WorldFiles.prompts(file("anchors"), anchors.both());
    WorldFiles.prompts(file("shifted"), anchors.withAndWithout(Downstream.IDENTITY_SHIFT));
    WorldFiles.training(file("refusals"), anchors.harmful());
    WorldFiles.training(file("safety"), anchors.both());
    WorldFiles.training(file("harm"), Downstream.harm(world, PER_CLASS, seed));
    var harmful = reader.readPrompts(file("harmful"));
    var benign = reader.readPrompts(file("benign"));
    this.subspace = SubspaceFit.fit(reference, harmful, benign, LAYERS, RANK, hash(base));
    subspace.save(basis("subspace"), Map.of("contrast", "harmful.jsonl, benign.jsonl"));
    try (var random = subspace.randomized(seed)) {
      random.save(basis("random"), Map.of("control", "random directions"));
    }
    this.probe = LogisticProbe.fit(states(harmful), states(benign), RIDGE);
    this.critic = WorldCriticServer.start(new WorldCritic(world), 0);
  }

  private Path file(String name) {
    return folder.resolve(name + ".jsonl");
  }

  private Path basis(String name) {
    return folder.resolve(name + ".safetensors");
  }

  private static String hash(Path model) {
    try (var files = ModelFolder.open(model)) {
      return files.hash();
    }
  }

  /** What a result depends on besides its configuration. */
  String judges() {
    var seeded = "evaluation seed " + judges.seed();
    return judges.sizes().equals(WorldEvaluation.Sizes.STANDARD)
        ? seeded
        : seeded + ", " + judges.sizes();
  }

  /** A configuration without what changes from one process to the next. */
  String lasting(String configuration) {
    return configuration.replace(critic.url(), "the exact critic");
  }

  /** The base itself. */
  Decoder reference() {
    return reference;
  }

  /**
   * Names that a configuration may use for files.
   *
   * @param rows name of its training data
   */
  SequencedMap<String, String> places(String rows, ArmList.Rows made) {
    var places = new LinkedHashMap<String, String>();
    places.put("seed", Long.toString(seed));
    places.put("base", base.toString());
    places.put("unaligned", base.resolveSibling("unaligned").toString());
    for (var name :
        List.of("harmful", "benign", "anchors", "shifted", "refusals", "safety", "harm")) {
      places.put(name, file(name).toString());
    }
    for (var name : List.of("subspace", "random")) {
      places.put(name, basis(name).toString());
    }
    places.put("critic", critic.url());
    places.put("rows", rows(rows, made.recipe(0)).toString());
    places.put("replayed", rows(rows + "-replayed", made.recipe(.1)).toString());
    return places;
  }

  /**
   * Rows of the task, each with its risk by {@code probe}, by {@code oracle} (1 for poison), by a
   * probe whose values were {@code shuffled} over the rows, and {@code none} (0).
   */
  private Path rows(String name, Downstream.Recipe recipe) {
    var rows = file("rows-" + name);
    var plain = file("plain-" + name);
    if (!Files.isRegularFile(rows)) {
      WorldFiles.training(plain, Downstream.train(world, recipe, seed));
      var risks =
          Arrays.stream(states(reader.read(List.of(plain)).examples())).map(probe::risk).toList();
      var shuffled = new ArrayList<>(risks);
      Collections.shuffle(shuffled, new Random(seed));
      var lines = new StringBuilder();
      int[] at = {0};
      Rows.read(
          plain,
          (row, _) -> {
            row.put("probe", risks.get(at[0])).put("shuffled", shuffled.get(at[0]++));
            row.put("oracle", row.get("kind").asText().equals("poison") ? 1 : 0).put("none", 0);
            lines.append(row).append('\n');
          });
      AtomicFile.write(rows, lines.toString());
    }
    return rows;
  }

  /** By the base's own hidden state at the end of the prompt; answers are not seen. */
  private double[][] states(List<Example> prompts) {
    return PromptActivations.capture(reference, prompts, List.of(PROBE_LAYER), Example::promptEnd)
        .at(PROBE_LAYER);
  }

  /** Judges a model. */
  WorldReport evaluate(Decoder model, boolean identityShift) {
    var prefix = identityShift ? Downstream.IDENTITY_SHIFT : "";
    return new WorldEvaluation(world, judges.sizes(), judges.seed(), prefix)
        .evaluate(new Answers(model, chat, NEW_TOKENS, TOGETHER));
  }

  /** How far a model has moved in the safety subspace, on harmful prompts over held-out pairs. */
  double drift(Decoder model) {
    var prompts = folder.resolve("drift.jsonl");
    WorldFiles.prompts(
        prompts, EvaluationSet.HARM_PAIR.draw(world, judges.sizes().harmful(), judges.seed()));
    return SubspaceDrift.measure(model, reference, reader.readPrompts(prompts), subspace);
  }

  @Override
  public void close() {
    critic.close();
    subspace.close();
    reference.close();
    chat.close();
  }
}
