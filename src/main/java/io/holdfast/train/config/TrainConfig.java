package io.holdfast.train.config;

import static io.holdfast.train.config.InvalidValue.unless;

import io.holdfast.HoldfastException;
import io.holdfast.data.Columns;
import io.holdfast.data.ExampleReader.LossOn;
import io.holdfast.kernels.DType;
import io.holdfast.train.Schedule.Decay;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;

/**
 * One training run. Keys are the components in snake case; relative paths are relative to the
 * current directory, not to the file.
 *
 * @param model Hugging Face folder to start from
 * @param adapter PEFT folder to start from
 * @param data what is learnt
 * @param tune everything, or a low-rank adapter; {@code lora: {...}} alone is short for the latter
 * @param method what is trained for: the rows, or besides refusals against an adversary
 * @param freeze parameters that stay as they are: globs over the whole name, or plain words that
 *     are a part of it, such as {@code embed_tokens}
 * @param precision of weights and activations
 * @param activationCheckpointing whether blocks keep only their input and are computed once more on
 *     the way back: less memory, more time
 * @param labelSmoothing share of a label's probability that is spread over the whole vocabulary,
 *     from 0 to 1
 * @param steps optimizer steps; this or {@code epochs}
 * @param epochs passes over the data; this or {@code steps}
 * @param batchSize sequences per micro-batch
 * @param accumulation micro-batches per step
 * @param optimizer AdamW's constants
 * @param schedule of the learning rate
 * @param clipNorm largest 2-norm of the gradient; 0 for no clipping
 * @param guard what holds the run back
 * @param checkpoint when and how many
 * @param eval a suite to run while training
 * @param drift follows the states of safety prompts while training
 * @param geometry measures carriers and their coupling while training
 * @param seed of data order, dropout and new adapters
 * @param threads of every native pool; all cores if not given
 * @param device {@code cpu}, {@code cuda} or {@code cuda:1}; the best there is if not given
 * @param output run folder
 */
public record TrainConfig(
    Path model,
    Optional<Path> adapter,
    Data data,
    @Default("full") Tune tune,
    @Default("sft") Method method,
    @Default("[]") List<String> freeze,
    @Default("float32") Precision precision,
    @Default("false") boolean activationCheckpointing,
    @Default("0.0") double labelSmoothing,
    Optional<Integer> steps,
    Optional<Double> epochs,
    @Default("4") int batchSize,
    @Default("1") int accumulation,
    @Default("{}") Optimizer optimizer,
    @Default("{}") Schedule schedule,
    @Default("1.0") double clipNorm,
    @Default("{}") GuardConfig guard,
    @Default("{}") Checkpoint checkpoint,
    Optional<Evaluation> eval,
    Optional<Drift> drift,
    Optional<Geometry> geometry,
    @Default("42") long seed,
    Optional<Integer> threads,
    Optional<String> device,
    Path output) {

  public TrainConfig {
    unless(
        steps.isPresent() != epochs.isPresent(),
        steps.isPresent() ? "epochs" : "steps",
        steps.isPresent()
            ? "cannot be given beside steps: drop one of them"
            : "or epochs must be given: how long to train");
    unless(
        labelSmoothing >= 0 && labelSmoothing <= 1,
        "label_smoothing",
        "must be from 0 to 1, is %s",
        labelSmoothing);
    steps.ifPresent(n -> unless(n >= 1, "steps", "must be at least 1, is %s", n));
    epochs.ifPresent(n -> unless(n > 0, "epochs", "must be positive, is %s", n));
    unless(batchSize >= 1, "batch_size", "must be at least 1, is %s", batchSize);
    unless(accumulation >= 1, "accumulation", "must be at least 1, is %s", accumulation);
    unless(clipNorm >= 0, "clip_norm", "must not be negative (0: no clipping), is %s", clipNorm);
    threads.ifPresent(n -> unless(n >= 1, "threads", "must be at least 1, is %s", n));
    device.ifPresent(
        d ->
            unless(
                d.matches("cpu|cuda(:\\d+)?"), "device", "must be cpu, cuda or cuda:N, is %s", d));
    freeze = List.copyOf(freeze);
    var conflict =
        Baseline.conflict(
            guard.baselines(), tune, precision, activationCheckpointing, guard.kl().isPresent());
    unless(conflict.isEmpty(), "guard", "cannot be: baselines: %s", conflict.orElse(""));
  }

  /** Number format of weights and activations. */
  public enum Precision {
    /** All in float32. */
    FLOAT32,
    /** In bfloat16, with float32 masters of what is trained. */
    BFLOAT16;

    /** As a type of tensors. */
    public DType dtype() {
      return this == FLOAT32 ? DType.FLOAT32 : DType.BFLOAT16;
    }
  }

  /**
   * What is learnt.
   *
   * @param train files of rows, in the formats that {@link io.holdfast.data.Rows} reads
   * @param columns what the columns of these files are called, where it is something else: {@code
   *     {prompt: Frage, completion: Antwort}}
   * @param cache folder for the encoded rows, shared between runs; the run folder if not given
   * @param maxLength longest sequence in tokens
   * @param shuffle whether each epoch has an order of its own
   * @param packing whether short sequences share a row of {@code maxLength} tokens, of which a
   *     micro-batch then has {@code batchSize}
   * @param groupByLength whether neighbouring steps share rows of like length, to pad less
   * @param lossOn which tokens are supervised
   */
  public record Data(
      List<Path> train,
      @Default("{}") SequencedMap<String, String> columns,
      Optional<Path> cache,
      @Default("2048") int maxLength,
      @Default("true") boolean shuffle,
      @Default("false") boolean packing,
      @Default("false") boolean groupByLength,
      @Default("completion") LossOn lossOn) {
    public Data {
      unless(!train.isEmpty(), "train", "must name at least one file");
      unless(maxLength >= 2, "max_length", "must be at least 2, is %s", maxLength);
      unless(
          !(packing && groupByLength),
          "group_by_length",
          "and packing are both true: packed rows are all of one length");
      train = List.copyOf(train);
      columns
          .keySet()
          .forEach(
              name ->
                  unless(
                      Columns.isName(name),
                      "columns",
                      "has '%s', but rows have no such field; they have %s",
                      name,
                      String.join(", ", Columns.allNames())));
    }
  }

  /**
   * AdamW's constants (Loshchilov and Hutter 2019).
   *
   * @param lr learning rate after warm-up
   * @param betas decay rates of the first and second moment
   * @param eps added to the root of the second moment
   * @param weightDecay decoupled decay; norms and biases are spared
   */
  public record Optimizer(
      @Default("2.0e-4") double lr,
      @Default("[0.9, 0.999]") List<Double> betas,
      @Default("1.0e-8") double eps,
      @Default("0.01") double weightDecay) {
    public Optimizer {
      unless(lr > 0, "lr", "must be positive, is %s", lr);
      unless(
          betas.size() == 2 && betas.stream().allMatch(b -> b >= 0 && b < 1),
          "betas",
          "must be two numbers in [0, 1), is %s",
          betas);
      unless(eps > 0, "eps", "must be positive, is %s", eps);
      unless(weightDecay >= 0, "weight_decay", "must not be negative, is %s", weightDecay);
      betas = List.copyOf(betas);
    }
  }

  /**
   * The learning rate over time.
   *
   * @param warmupSteps steps of the linear warm-up from 0
   * @param decay shape of what follows, down to 0 at the end
   */
  public record Schedule(@Default("3") int warmupSteps, @Default("cosine") Decay decay) {
    public Schedule {
      unless(warmupSteps >= 0, "warmup_steps", "must not be negative, is %s", warmupSteps);
    }
  }

  /**
   * When a run is saved; it always is at its end and when it is interrupted.
   *
   * @param every steps between two checkpoints; 0 for none on the way
   * @param keep how many of the newest stay
   */
  public record Checkpoint(@Default("100") int every, @Default("3") int keep) {
    public Checkpoint {
      unless(every >= 0, "every", "must not be negative (0: only at the end), is %s", every);
      unless(keep >= 1, "keep", "must be at least 1, is %s", keep);
    }
  }

  /**
   * A suite that is run while training.
   *
   * @param every steps between two runs
   * @param suite the suite's file
   */
  public record Evaluation(@Default("100") int every, Path suite) {
    public Evaluation {
      unless(every >= 1, "every", "must be at least 1, is %s", every);
    }
  }

  /**
   * How the states of safety prompts move while training, in {@code drift.jsonl}.
   *
   * @param every steps between two measurements; the last step is always measured
   * @param contrast prompts that are followed
   * @param basis the safety subspace; fitted to the contrast if not given
   * @param rank directions per layer where it is fitted
   * @param rows training rows whose gradient is looked at
   */
  public record Drift(
      @Default("50") int every,
      GuardConfig.Contrast contrast,
      Optional<Path> basis,
      @Default("16") int rank,
      @Default("32") int rows) {
    public Drift {
      unless(every >= 1, "every", "must be at least 1, is %s", every);
      unless(rank >= 1, "rank", "must be at least 1, is %s", rank);
      unless(rows >= 0, "rows", "must not be negative, is %s", rows);
    }
  }

  /**
   * What {@code geometry trajectory} says of checkpoints, of the model while it trains, in {@code
   * geometry.jsonl}.
   *
   * @param every steps between two measurements; the start and the last step are always measured
   * @param prompts that carriers are found on
   * @param measures how carefully
   * @param seed of draws and controls
   */
  public record Geometry(
      @Default("100") int every,
      ProtocolConfig.Prompts prompts,
      @Default("{}") ProtocolConfig.Measures measures,
      @Default("1") long seed) {
    public Geometry {
      unless(every >= 1, "every", "must be at least 1, is %s", every);
    }
  }

  /**
   * Reads a configuration.
   *
   * @param file YAML
   * @param overrides dotted keys and values, {@code optimizer.lr=1e-4}, applied in order; an empty
   *     value removes the key
   * @throws HoldfastException (usage) that names file, line, key and what is allowed
   */
  public static TrainConfig load(Path file, List<String> overrides) {
    var section = Yaml.file(file);
    for (var override : overrides) {
      int equals = override.indexOf('=');
      if (equals < 1) {
        throw HoldfastException.usage(
            "--set %s: expects KEY=VALUE, such as --set optimizer.lr=1e-4", override);
      }
      var key = override.substring(0, equals);
      var value = Yaml.value(override.substring(equals + 1), "--set " + override);
      section = section.with(key, value);
    }
    return new Binding<>(TrainConfig.class).read(loraAsTune(section));
  }

  /** {@code lora: {...}} beside the other keys is short for {@code tune: {lora: {...}}}. */
  private static Yaml.Section loraAsTune(Yaml.Section section) {
    var entries = new LinkedHashMap<>(section.entries());
    if (!entries.containsKey("lora") || entries.containsKey("tune")) {
      return section;
    }
    var lora = entries.remove("lora");
    return new Yaml.Section(entries, section.at()).with("tune.lora", lora);
  }

  /** The resolved configuration with every default, as YAML that {@link #load} reads back. */
  public String toYaml() {
    return Yaml.write(Binding.write(this));
  }

  /** How many optimizer steps the run has, when an epoch has so many. */
  public int totalSteps(int stepsPerEpoch) {
    return steps.orElseGet(() -> (int) Math.ceil(epochs.orElseThrow() * stepsPerEpoch));
  }

  /**
   * Checks that every file the run reads is there.
   *
   * @throws HoldfastException (input) that names the key and the path
   */
  public void requireFiles() {
    var files = new LinkedHashMap<String, Path>();
    files.put("model", model.resolve("config.json"));
    var adapterFile = tune instanceof Tune.Reft ? "reft_config.json" : "adapter_config.json";
    adapter.ifPresent(dir -> files.put("adapter", dir.resolve(adapterFile)));
    for (int i = 0; i < data.train().size(); i++) {
      files.put("data.train[" + i + "]", data.train().get(i));
    }
    guard
        .subspace()
        .ifPresent(
            g -> {
              g.contrast()
                  .ifPresent(c -> files.put("guard.subspace.contrast.harmful", c.harmful()));
              g.contrast().ifPresent(c -> files.put("guard.subspace.contrast.benign", c.benign()));
              g.basis().ifPresent(f -> files.put("guard.subspace.basis", f));
              g.anchors().ifPresent(f -> files.put("guard.subspace.anchors", f));
            });
    guard.kl().flatMap(GuardConfig.Kl::anchors).ifPresent(f -> files.put("guard.kl.anchors", f));
    guard
        .baselines()
        .forEach(
            one ->
                one.files()
                    .forEach(
                        (key, file) ->
                            files.put("guard.baselines." + one.key() + "." + key, file)));
    if (method instanceof Method.R2d2 r2d2) {
      files.put("method.r2d2.cases", r2d2.cases());
      r2d2.targets().ifPresent(file -> files.put("method.r2d2.targets", file));
    }
    switch (guard.risk().orElse(null)) {
      case RiskConfig.Probe probe -> files.put("guard.risk.probe.predictor", probe.predictor());
      case RiskConfig.Critic critic ->
          critic.rubric().ifPresent(f -> files.put("guard.risk.critic.rubric", f));
      case null, default -> {}
    }
    eval.ifPresent(e -> files.put("eval.suite", e.suite()));
    drift.ifPresent(
        d -> {
          files.put("drift.contrast.harmful", d.contrast().harmful());
          files.put("drift.contrast.benign", d.contrast().benign());
          d.basis().ifPresent(f -> files.put("drift.basis", f));
        });
    geometry.ifPresent(
        g -> {
          files.put("geometry.prompts.harmful", g.prompts().harmful());
          files.put("geometry.prompts.benign", g.prompts().benign());
          g.measures().task().ifPresent(f -> files.put("geometry.measures.task", f));
        });
    files.forEach(TrainConfig::requireFile);
  }

  private static void requireFile(String key, Path file) {
    if (!Files.isRegularFile(file)) {
      throw HoldfastException.input(
          "%s: there is no file %s (relative paths start at the current directory, %s)",
          key, file, Path.of("").toAbsolutePath());
    }
  }
}
