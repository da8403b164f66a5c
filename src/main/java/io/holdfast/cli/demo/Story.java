package io.holdfast.cli.demo;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.checkpoint.AtomicFolder;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Sha256;
import io.holdfast.cli.Answers;
import io.holdfast.data.Example;
import io.holdfast.data.ExampleReader;
import io.holdfast.data.RowReader;
import io.holdfast.data.Rows;
import io.holdfast.eval.WorldEvaluation;
import io.holdfast.eval.WorldReport;
import io.holdfast.geometry.PromptActivations;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.guard.SubspaceDrift;
import io.holdfast.guard.SubspaceFit;
import io.holdfast.model.Decoder;
import io.holdfast.report.DemoSummary;
import io.holdfast.report.RunRow;
import io.holdfast.risk.LogisticProbe;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.torch.Threads;
import io.holdfast.train.Progress;
import io.holdfast.train.TrainRun;
import io.holdfast.train.config.TrainConfig;
import io.holdfast.world.EvaluationSet;
import io.holdfast.world.World;
import io.holdfast.world.WorldFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.function.Consumer;

/**
 * The demonstration, step by step: the aligned base, then the same poisoned data fine-tuned plainly
 * and under each guard, all judged on prompts that none of them has seen. Everything goes the way a
 * user's own run goes: files, configurations, {@code train}.
 */
final class Story {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final List<Integer> LAYERS = List.of(2, 3, 4, 5, 6);
  private static final int RANK = 16;
  private static final int PROBE_LAYER = 4;
  private static final double RIDGE = 1e-2;
  private static final int NEW_TOKENS = 48;

  private final Path out;
  private final long seed;
  private final Optional<BaseModel.Recipe> scratch;
  private final Progress.Style style;
  private final Consumer<String> say;
  private final World world = World.load();

  /**
   * A demonstration.
   *
   * @param scratch how to train the base first, or empty for the one in the jar
   * @param say tells the user what is going on
   */
  Story(
      Path out,
      long seed,
      Optional<BaseModel.Recipe> scratch,
      Progress.Style style,
      Consumer<String> say) {
    this.out = out;
    this.seed = seed;
    this.scratch = scratch;
    this.style = style;
    this.say = say;
  }

  private Path data() {
    return out.resolve("data");
  }

  private Path base() {
    return out.resolve("base");
  }

  /** Writes the data, and the base where it is not there yet; returns the files by name. */
  Map<String, Path> begin() {
    Threads.set(Runtime.getRuntime().availableProcessors());
    var files = writeData();
    prepareBase();
    return files;
  }

  /** Runs what has not been run before, and returns the rows of the table. */
  DemoSummary tell() {
    var files = begin();
    var rows = new ArrayList<RunRow>();
    try (var chat = ChatTokenizer.load(base());
        var reference = Decoder.load(base())) {
      var reader = reader(chat);
      var evaluation =
          new Evaluation(chat, reference, subspace(reference, reader), drifting(reader));
      recordRisk(reference, reader, files.get("work-train"));
      rows.add(baseRow(evaluation));
      for (var arm : Arm.all()) {
        rows.add(armRow(arm, evaluation));
      }
    }
    return new DemoSummary(seed, rows);
  }

  /** What the demonstration trains, by name, ready to run. */
  SequencedMap<String, TrainConfig> runs() {
    var files = begin();
    try (var chat = ChatTokenizer.load(base());
        var reference = Decoder.load(base())) {
      var reader = reader(chat);
      subspace(reference, reader).close();
      recordRisk(reference, reader, files.get("work-train"));
    }
    createFolder(out.resolve("runs"));
    var runs = new LinkedHashMap<String, TrainConfig>();
    for (var arm : Arm.all()) {
      AtomicFile.write(file(arm), yaml(arm));
      runs.put(arm.name(), TrainConfig.load(file(arm), List.of()));
    }
    return runs;
  }

  private static ExampleReader reader(ChatTokenizer chat) {
    return new ExampleReader(
        new RowReader(chat), ExampleReader.LossOn.COMPLETION, 128, Optional.empty());
  }

  private Map<String, Path> writeData() {
    var recipe = scratch.orElse(new BaseModel.Recipe(0, 0));
    return WorldFiles.write(data(), world, recipe.plan(seed));
  }

  private void prepareBase() {
    if (scratch.isEmpty()) {
      if (!BaseModel.isThere(base())) {
        BaseModel.unpack(base());
      }
      say.accept("base: the one that comes with Holdfast (remake it with --from-scratch)");
      return;
    }
    if (BaseModel.isThere(base())) {
      say.accept("base: already trained in " + base());
      return;
    }
    say.accept("base: training from scratch");
    var trained = BaseModel.train(out.resolve("scratch"), data(), scratch.get(), seed, style);
    BaseModel.copy(trained, base());
  }

  /** The safety subspace of the base, fitted on prompts over pairs that alignment knew. */
  private SafetySubspace subspace(Decoder reference, ExampleReader reader) {
    var file = data().resolve("safety-subspace.safetensors");
    var anchors = reader.readPrompts(data().resolve("anchors.jsonl"));
    int half = anchors.size() / 2;
    var fitted =
        SubspaceFit.fit(
            reference,
            anchors.subList(0, half),
            anchors.subList(half, anchors.size()),
            LAYERS,
            RANK,
            hash(base()));
    fitted.save(file, Map.of("contrast", "anchors.jsonl"));
    return fitted;
  }

  private static String hash(Path folder) {
    try (var files = ModelFolder.open(folder)) {
      return files.hash();
    }
  }

  private List<Example> drifting(ExampleReader reader) {
    return reader.readPrompts(
        data().resolve("eval").resolve(EvaluationSet.HARM_PAIR.id() + ".jsonl"));
  }

  /**
   * Writes each row's risk beside it: a logistic probe on the base's own hidden state at the end of
   * the prompt. It sees the prompts alone and knows nothing of which rows are poison.
   */
  private void recordRisk(Decoder reference, ExampleReader reader, Path rows) {
    var anchors = reader.readPrompts(data().resolve("anchors.jsonl"));
    double[][] states = states(reference, anchors);
    int half = anchors.size() / 2;
    var probe =
        LogisticProbe.fit(
            java.util.Arrays.copyOfRange(states, 0, half),
            java.util.Arrays.copyOfRange(states, half, states.length),
            RIDGE);
    double[][] work = states(reference, reader.read(List.of(rows)).examples());
    var lines = new StringBuilder();
    var count = new int[1];
    Rows.read(
        rows,
        (row, place) -> lines.append(row.put("risk", probe.risk(work[count[0]++]))).append('\n'));
    AtomicFile.write(data().resolve("work-risk.jsonl"), lines.toString());
  }

  private static double[][] states(Decoder model, List<Example> prompts) {
    return PromptActivations.capture(model, prompts, List.of(PROBE_LAYER), Example::promptEnd)
        .at(PROBE_LAYER);
  }

  private RunRow baseRow(Evaluation evaluation) {
    var key = "base " + hash(base()) + " " + evaluation.key();
    return remembered(out.resolve("base-result.json"), key, "base")
        .orElseGet(
            () -> {
              say.accept("base: evaluating");
              var row =
                  new RunRow("base", evaluation.run(evaluation.reference()).metrics(), 0, 0, 0);
              remember(out.resolve("base-result.json"), key, row);
              return row;
            });
  }

  private Path folder(Arm arm) {
    return out.resolve("runs").resolve(arm.folder());
  }

  private Path file(Arm arm) {
    return out.resolve("runs").resolve(arm.folder() + ".yaml");
  }

  private String yaml(Arm arm) {
    return arm.yaml(
        base().toString(), data().toString(), folder(arm).toString(), seed, file(arm).toString());
  }

  private RunRow armRow(Arm arm, Evaluation evaluation) {
    var folder = folder(arm);
    var file = file(arm);
    var yaml = yaml(arm);
    var inputs =
        Sha256.of(
            List.of(
                base().resolve("model.safetensors"),
                data().resolve("work-risk.jsonl"),
                data().resolve("safety-subspace.safetensors")));
    var key = yaml + inputs + evaluation.key();
    var result = out.resolve("runs").resolve(arm.folder() + "-result.json");
    return remembered(result, key, arm.name())
        .orElseGet(
            () -> {
              say.accept(arm.name() + ": training");
              createFolder(out.resolve("runs"));
              AtomicFile.write(file, yaml);
              if (Files.exists(folder)) {
                AtomicFolder.delete(folder);
              }
              var outcome = TrainRun.run(TrainConfig.load(file, List.of()), false, style);
              say.accept(arm.name() + ": evaluating");
              try (var model = Decoder.load(outcome.checkpoint())) {
                var row =
                    new RunRow(
                        arm.name(),
                        evaluation.run(model).metrics(),
                        evaluation.drift(model),
                        outcome.tokensPerSecond(),
                        outcome.seconds());
                remember(result, key, row);
                return row;
              }
            });
  }

  private static void createFolder(Path folder) {
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw HoldfastException.input("%s: cannot be created (%s)", folder, e.getMessage());
    }
  }

  /** A result of an earlier demonstration whose inputs are all the same. */
  private Optional<RunRow> remembered(Path file, String key, String name) {
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try {
      var kept = JSON.readTree(file.toFile());
      if (!kept.path("key").asText().equals(key)) {
        return Optional.empty();
      }
      say.accept(name + ": unchanged since the last time, reusing its result");
      return Optional.of(RunRow.of((ObjectNode) kept.get("row")));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void remember(Path file, String key, RunRow row) {
    var kept = JSON.createObjectNode();
    kept.put("key", key);
    kept.set("row", row.json());
    AtomicFile.write(file, kept.toPrettyString() + "\n");
  }

  /**
   * The evaluation of one demonstration.
   *
   * @param prompts on which drift is measured: harmful ones over held-out pairs
   */
  private final class Evaluation {
    private final ChatTokenizer chat;
    private final Decoder reference;
    private final SafetySubspace subspace;
    private final List<Example> prompts;

    Evaluation(
        ChatTokenizer chat, Decoder reference, SafetySubspace subspace, List<Example> prompts) {
      this.chat = chat;
      this.reference = reference;
      this.subspace = subspace;
      this.prompts = prompts;
    }

    Decoder reference() {
      return reference;
    }

    String key() {
      return "evaluation seed " + EvaluationSet.DEFAULT_SEED + ", " + NEW_TOKENS + " new tokens";
    }

    WorldReport run(Decoder model) {
      return WorldEvaluation.standard(world).evaluate(new Answers(model, chat, NEW_TOKENS, 160));
    }

    double drift(Decoder model) {
      return SubspaceDrift.measure(model, reference, prompts, subspace);
    }
  }
}
