package io.holdfast.train.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import io.holdfast.data.ExampleReader.LossOn;
import io.holdfast.geometry.TokenPosition;
import io.holdfast.model.AdaptedDecoder.Start;
import io.holdfast.train.Schedule.Decay;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TrainConfigTest {
  private static final String SMALL =
      """
      model: base
      data: {train: [rows.jsonl]}
      steps: 200
      output: run
      """;

  /** Every key, none at its default. */
  private static final String FULL =
      """
      model: base
      adapter: start
      data:
        train: [a.jsonl, b.csv]
        columns: {prompt: Frage, completion: Antwort}
        cache: kept
        max_length: 512
        shuffle: false
        group_by_length: true
        loss_on: assistant
      tune:
        lora: {rank: 8, alpha: 4, dropout: 0.1, targets: [o_proj]}
      freeze: ['*embed_tokens*']
      precision: bfloat16
      epochs: 1.5
      batch_size: 3
      accumulation: 5
      optimizer: {lr: 3e-5, betas: [0.8, 0.95], eps: 1e-6, weight_decay: 0}
      schedule: {warmup_steps: 7, decay: linear}
      clip_norm: 0
      guard:
        subspace:
          layers: [1, -2]
          rank: 4
          weight: 0.3
          filter: 0.5
          positions: [instruction_end, prompt_end]
          answer_tokens: 2
          contrast: {harmful: h.jsonl, benign: b.jsonl}
          risk_column: danger
          task_weight: one_minus_risk
          anchors: anchors.jsonl
          anchor_batch: 6
        kl:
          risk_column: danger
          beta_min: 0.2
          beta_max: 0.7
          task_weight: one
          direction: reverse
          anchors: anchors.jsonl
          anchor_weight: 0.4
      checkpoint: {every: 10, keep: 1}
      eval: {every: 20, suite: suite.yaml}
      seed: 9000000000
      threads: 2
      device: cuda:1
      output: run
      """;

  @TempDir Path folder;

  private static Tune.Lora lora(int rank, double alpha, double dropout, String... targets) {
    var none = new LinkedHashMap<String, Integer>();
    var empty = List.<String>of();
    return new Tune.Lora(
        rank,
        alpha,
        dropout,
        List.of(targets),
        empty,
        List.of(),
        empty,
        false,
        none,
        new LinkedHashMap<>(),
        empty,
        false,
        Start.KAIMING);
  }

  private TrainConfig load(String yaml, String... overrides) {
    try {
      var file = Files.writeString(folder.resolve("train.yaml"), yaml);
      return TrainConfig.load(file, List.of(overrides));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private String refused(String yaml, String... overrides) {
    var error = assertThrows(HoldfastException.class, () -> load(yaml, overrides));
    assertEquals(ExitCode.USAGE, error.exitCode());
    return error.getMessage().replace(folder + "/", "");
  }

  @Test
  void defaultsAreThoseOfTheDocumentation() {
    var config = load(SMALL);
    assertEquals(2048, config.data().maxLength());
    assertEquals(LossOn.COMPLETION, config.data().lossOn());
    assertEquals(new Tune.Full(), config.tune());
    assertEquals(TrainConfig.Precision.FLOAT32, config.precision());
    assertEquals(2e-4, config.optimizer().lr());
    assertEquals(List.of(0.9, 0.999), config.optimizer().betas());
    assertEquals(new TrainConfig.Schedule(3, Decay.COSINE), config.schedule());
    assertEquals(new TrainConfig.Checkpoint(100, 3), config.checkpoint());
    assertTrue(config.guard().subspace().isEmpty() && config.guard().kl().isEmpty());
    assertTrue(config.guard().riskSource().isEmpty());
    assertTrue(config.guard().baselines().isEmpty());
    assertEquals(42, config.seed());
  }

  @Test
  void everyKeyIsRead() {
    var config = load(FULL);
    assertEquals(lora(8, 4, 0.1, "o_proj"), config.tune());
    assertEquals(3e-5, config.optimizer().lr());
    assertEquals(9_000_000_000L, config.seed());
    var subspace = config.guard().subspace().orElseThrow();
    assertEquals(Optional.of(List.of(1, -2)), subspace.layers());
    assertEquals(
        List.of(TokenPosition.INSTRUCTION_END, TokenPosition.PROMPT_END), subspace.positions());
    assertEquals(
        Optional.of(new GuardConfig.Contrast(Path.of("h.jsonl"), Path.of("b.jsonl"))),
        subspace.contrast());
    var kl = config.guard().kl().orElseThrow();
    assertEquals(GuardConfig.Direction.REVERSE, kl.direction());
    assertEquals(false, kl.shrinksTask());
  }

  private static final String LORA =
      """
      tune:
        lora:
          rank: 4
          alpha: 6
          targets: .*layers\\.[0-2]\\.(self_attn|mlp)\\..*_proj
          exclude: [o_proj]
          rank_stabilized: true
          ranks: {"layers.1.mlp.(up|gate)_proj": 2, down_proj: 1}
          alphas: {down_proj: 0.5}
          modules_to_save: [embed_tokens, model.norm]
          ensure_weight_tying: true
          init: gaussian
      """;

  @Test
  void everySettingOfALoraIsRead() {
    var tune = (Tune.Lora) load(SMALL + LORA).tune();
    assertEquals(Start.GAUSSIAN, tune.init());
    var config = tune.on("base");
    assertEquals("base", config.base());
    var scaling = config.scaling();
    assertEquals(
        List.of(4, 2, 2, 1),
        List.of(
            scaling.rank("model.layers.0.mlp.up_proj"),
            scaling.rank("model.layers.1.mlp.up_proj"),
            scaling.rank("model.layers.1.mlp.gate_proj"),
            scaling.rank("model.layers.1.mlp.down_proj")));
    assertEquals(3, scaling.factor("model.layers.0.mlp.up_proj"), 1e-12);
    assertEquals(0.5, scaling.factor("model.layers.0.mlp.down_proj"), 1e-12);
    assertTrue(config.adapts("model.layers.2.mlp.up_proj"));
    assertFalse(config.adapts("model.layers.3.mlp.up_proj"));
    assertFalse(config.adapts("model.layers.0.self_attn.o_proj"));
    assertTrue(config.saved().select("model.norm.weight"));
    assertTrue(config.saved().keepsTie());
    var layers =
        (Tune.Lora) load(SMALL + "tune: {lora: {layers: [1], layers_pattern: [layers]}}").tune();
    assertTrue(layers.on("").adapts("model.layers.1.self_attn.q_proj"));
    assertFalse(layers.on("").adapts("model.layers.0.self_attn.q_proj"));
    assertTrue(
        ((Tune.Lora) load(SMALL + "tune: {lora: {targets: all-linear}}").tune())
            .on("")
            .adapts("model.layers.0.mlp.down_proj"));
  }

  @Test
  void whatIsWrittenBackReadsTheSame() {
    for (var config : List.of(load(SMALL), load(FULL), load(SMALL + LORA))) {
      assertEquals(config, load(config.toYaml()));
    }
    assertTrue(load(SMALL).toYaml().contains("weight_decay: 0.01"), "defaults are spelt out");
  }

  @Test
  void overridesReplaceAddAndRemove() {
    var config =
        load(
            SMALL,
            "optimizer.lr=1e-4",
            "tune.lora.rank=4",
            "steps=",
            "epochs=2",
            "data.train=[x.jsonl, y.jsonl]",
            "guard.kl={weight: 0.5}");
    assertEquals(1e-4, config.optimizer().lr());
    assertEquals(lora(4, 32, 0, "q_proj", "v_proj"), config.tune());
    assertEquals(Optional.of(2.0), config.epochs());
    assertEquals(2, config.data().train().size());
    assertEquals(Optional.of(0.5), config.guard().kl().orElseThrow().weight());
  }

  @Test
  void aChoiceMayBeAWordAlone() {
    assertEquals(Tune.Lora.DEFAULT, load(SMALL + "tune: lora").tune());
    assertEquals(load(SMALL + "tune: {lora: {rank: 4}}"), load(SMALL + "lora: {rank: 4}"));
    assertEquals(
        Optional.empty(),
        load(SMALL + "guard: {subspace: {layers: all, basis: b.safetensors}}")
            .guard()
            .subspace()
            .orElseThrow()
            .layers());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "batch_sise: 4 | train.yaml:5: unknown key 'batch_sise' (did you mean 'batch_size'?);",
        "targets: [q_proj] | unknown key 'targets' (did you mean 'tune.lora.targets'?)",
        "optimizer: {lrr: 1} | unknown key 'optimizer.lrr' (did you mean 'optimizer.lr'?); allowed"
            + " here: lr, betas, eps, weight_decay",
        "optimizer: {lr: fast} | train.yaml:5: optimizer.lr: expects a number, not 'fast'",
        "optimizer: {lr: 1e999} | optimizer.lr: expects a number",
        "optimizer: {betas: [0.9]} | optimizer.betas must be two numbers in [0, 1)",
        "optimizer: 3 | optimizer: expects the keys lr, betas",
        "batch_size: 1.5 | batch_size: expects a whole number, not '1.5'",
        "batch_size: 0 | train.yaml:5: batch_size must be at least 1, is 0",
        "batch_size: [1, 2] | batch_size: expects a single value",
        "precision: flaot32 | expects one of float32, bfloat16, not 'flaot32' (did you mean"
            + " float32?)",
        "epochs: 3 | train.yaml:5: epochs cannot be given beside steps",
        "tune: half | tune: expects full  or  lora: {rank, alpha, dropout, targets, ",
        "tune: {lora: {init: pissa}} | tune.lora.init: expects one of kaiming, gaussian, not"
            + " 'pissa'",
        "tune: {lora: {use_dora: true}} | unknown key 'tune.lora.use_dora'",
        "tune: {lora: {ranks: [4]}} | tune.lora.ranks: expects keys with a value each",
        "tune: {lora: {ranks: {q_proj: 0}}} | tune.lora.ranks: the rank of q_proj must be at least"
            + " 1",
        "tune: {lora: {ranks: {q_proj: x}}} | tune.lora.ranks.q_proj: expects a whole number",
        "tune: {lora: {ranks: {'*q': 1}}} | tune.lora.ranks: '*q' is not a regular expression",
        "tune: {lora: {alphas: {q_proj: -1}}} | tune.lora.alphas q_proj: must be positive",
        "tune: {lora: {alphas: {'q(': 1}}} | tune.lora.alphas: 'q(' is not a regular expression",
        "tune: {lora: {targets: ['.*q', v]}} | tune.lora.targets: '.*q' is a regular expression,",
        "tune: {lora: {targets: '(q'}} | tune.lora.targets: '(q' is not a regular expression",
        "tune: {lora: {exclude: all-linear}} | tune.lora.exclude all-linear leaves nothing",
        "tune: {lora: {layers_pattern: [h]}} | tune.lora.layers_pattern says where layers are",
        "tune: {lora: {targets: all-linear, layers: [0]}} | tune.lora.layers: they can be chosen",
        "tune: {lora: {modules_to_save: ['']}} | tune.lora.modules_to_save: an empty name",
        "tune: {lore: {}} | unknown key 'tune.lore' (did you mean 'tune.lora'?)",
        "tune: {lora: {dropout: 1}} | tune.lora.dropout must be in [0, 1), is 1.0",
        "guard: {kl: {}} | guard.kl needs a weight for all rows, or a risk of each: guard.risk",
        "guard: {kl: {risk_column: r}, risk: {constant: {value: 1}}} | guard.risk cannot be given",
        "guard: {kl: {weight: 1}, risk: {constant: {value: 1}}} | no guard weighs rows by it",
        "guard: {kl: {}, risk: {constant: {value: 2}}} | guard.risk.constant.value must be in",
        "guard: {kl: {}, risk: {oracle: {}}} | unknown key 'guard.risk.oracle'",
        "guard: {kl: {}, risk: {critic: {model: m, key_env: K}}} | guard.risk.critic.key_env goes",
        "guard: {kl: {}, risk: {critic: {url: u, model: m, retries: -1}}} | critic.retries must be",
        "guard: {kl: {}, risk: {critic: {url: 'a b', model: m}}} | critic.url must be a URL",
        "guard: {kl: {}, risk: {critic: {url: u, model: m, when: later}}} | expects one of ahead,",
        "guard: {kl: {}, risk: {probe: {}}} | 'guard.risk.probe.predictor' is missing",
        "guard: {token_constraint: {beta: 0}} | guard.token_constraint.beta must be positive",
        "guard: {kl: {weight: 1, reference: disk}} | expects one of live, cached, not 'disk'",
        "guard: {kl: {weight: 1}, risk_control: shuffled} | guard.risk_control needs a risk",
        "guard: {kl: {weight: 1}, risk_smoothing: 0.5} | guard.risk_smoothing needs a risk",
        "guard: {kl: {risk_column: r}, risk_smoothing: 1} | guard.risk_smoothing must be in [0, 1)",
        "guard: {subspace: {basis: f, by_risk: true}} | guard.subspace weighs rows by risk and",
        "guard: {subspace: {basis: f, task_weight: one_minus_risk}} | guard.subspace weighs rows",
        "guard: {kl: {weight: 1, task_weight: one_minus_beta, risk_column: r}} | drop one of them",
        "guard: {subspace: {filter: 2, basis: f}} | guard.subspace.filter must be in [0, 1]",
        "guard: {subspace: {rank: 2}} | guard.subspace.contrast or basis must be given",
        "guard: {subspace: {contrast: {harmful: h}}} | 'guard.subspace.contrast.benign' is missing",
        "guard: {kl: {weight: 1, task_weight: one_minus_beta}} | guard.kl.task_weight"
            + " one_minus_beta goes with a risk",
        "guard: {kl: {risk_column: r}, subspace: {basis: f, risk_column: q}} | guard.kl and"
            + " subspace must have the same risk_column, have r and q",
        "device: gpu | device must be cpu, cuda or cuda:N, is gpu",
        "model: other | train.yaml:5: key 'model' is given twice",
        "seed: {a: b | train.yaml:6: is not valid YAML"
      })
  void mistakesAreNamedWithPlaceKeyAndRemedy(String line, String expected) {
    var message = refused(SMALL + line + "\n");
    assertTrue(message.contains(expected), message);
  }

  @Test
  void whatIsMissingIsNamed() {
    assertEquals("train.yaml: 'model' is missing", refused(""));
    assertTrue(refused(SMALL.replace("steps: 200\n", "")).contains("steps or epochs must be"));
    assertTrue(refused("- a\n").contains("expected keys and values"));
    var error =
        assertThrows(
            HoldfastException.class,
            () -> TrainConfig.load(folder.resolve("none.yaml"), List.of()));
    assertEquals(ExitCode.INPUT, error.exitCode());
  }

  @Test
  void columnsHaveTheNamesOfFields() {
    var message = refused(SMALL, "data.columns={question: Frage}");
    assertTrue(message.contains("data.columns has 'question', but rows have no such"), message);
    assertTrue(message.contains("completion, context, conversations"), message);
  }

  @Test
  void anOverrideIsNamedAsThePlaceOfItsMistake() {
    assertEquals(
        "--set batch_size=0: batch_size must be at least 1, is 0", refused(SMALL, "batch_size=0"));
    assertTrue(
        refused(SMALL, "optimiser.lr=1").startsWith("--set optimiser.lr=1: unknown key"),
        refused(SMALL, "optimiser.lr=1"));
    assertTrue(refused(SMALL, "lr").contains("expects KEY=VALUE"));
  }

  @Test
  void aMissingFileIsNamedWithItsKey() throws IOException {
    Files.writeString(folder.resolve("config.json"), "{}");
    var config = load(SMALL, "model=" + folder, "data.train=" + folder.resolve("no.jsonl"));
    var error = assertThrows(HoldfastException.class, config::requireFiles);
    assertEquals(ExitCode.INPUT, error.exitCode());
    assertTrue(error.getMessage().startsWith("data.train[0]: there is no file"));
  }

  @Test
  void epochsBecomeSteps() {
    assertEquals(200, load(SMALL).totalSteps(7));
    assertEquals(11, load(FULL).totalSteps(7));
  }
}
