package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFolder;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.model.Architecture;
import io.holdfast.model.Weights;
import io.holdfast.torch.Scope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Published baselines as a configuration chooses them. */
class BaselineRunTest {
  private static final String LORA = "tune={lora: {rank: 4, alpha: 8, targets: [all-linear]}}";

  @TempDir Path folder;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private String baseline(String text) {
    return "guard.baselines=["
        + text.replace("ROWS", folder.resolve("chats.jsonl").toString())
            .replace("BASIS", folder.resolve("basis.safetensors").toString())
            .replace("UNALIGNED", folder.resolve("unaligned").toString())
        + "]";
  }

  /**
   * Every method changes what a run learns, says so in the manifest, and a run that is resumed is
   * the one that was not, bit for bit.
   */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "full | {l2: {weight: 0.5}}                                             | L2 to the start",
        "full | {ewc: {weight: 50, data: ROWS}}                                 | EWC",
        "full | {replay: {data: ROWS, rows: 1}}                                 | mixing",
        "full | {frozen_layers: {first: 1, last: 1}}                            | frozen",
        "full | {gradient_projection: {basis: BASIS}}                           | projection",
        "lora | {safe_lora: {unaligned: UNALIGNED, modules: 4}}                 | SafeLoRA",
        "lora | {sa_lora: {data: ROWS, rank: 3}}                                | SaLoRA",
        "full | {vaccine: {rho: 0.5}}                                           | Vaccine",
        "full | {lisa: {data: ROWS, alignment_steps: 3, user_steps: 4, rho: 5}} | Lisa",
        "full | {booster: {data: ROWS}}                                         | Booster",
        "full | {antidote: {data: ROWS, share: 0.2}}                            | Antidote",
        "lora | {circuit_breakers: {data: ROWS, layers: [1]}}                   | circuit breakers",
        "full | {rep_noise: {data: ROWS}}                                       | RepNoise",
      })
  void changesTheRunAndIsResumedExactly(String kind, String text, String name) throws IOException {
    var tiny = TinyRun.in(folder);
    subspace(tiny);
    unaligned(tiny);
    String[] plain = {"steps=12", "checkpoint.every=5", kind.equals("lora") ? LORA : "tune=full"};
    String[] settings = {plain[0], plain[1], plain[2], baseline(text)};
    var free = TinyRun.train(tiny.config("free", plain));
    var whole = TinyRun.train(tiny.config("whole", settings));
    var file = kind.equals("lora") ? "adapter_model.safetensors" : "model.safetensors";
    assertNotEquals(TinyRun.bits(free.resolve(file)), TinyRun.bits(whole.resolve(file)));
    var guards = Goldens.json(tiny.output("whole").resolve("manifest.json")).get("guards");
    assertTrue(guards.toString().contains(name), guards.toString());

    AtomicFolder.delete(whole);
    var resumed = TinyRun.resume(tiny.config("whole", settings));
    var again = TinyRun.train(tiny.config("again", settings));
    assertEquals(TinyRun.bits(again.resolve(file)), TinyRun.bits(resumed.resolve(file)));
    assertEquals(
        TinyRun.metrics(tiny.output("again")), TinyRun.metrics(tiny.output("whole")), "metrics");
  }

  /** Two axes of the tiny model's sixteen, behind its first block. */
  private void subspace(TinyRun tiny) {
    var basis = new double[16][2];
    basis[3][0] = 1;
    basis[5][1] = 1;
    String hash;
    try (var model = ModelFolder.open(tiny.model())) {
      hash = model.hash();
    }
    try (var subspace =
        new SafetySubspace(new TreeMap<>(Map.of(1, basis)), new TreeMap<>(Map.of(1, 1.0)), hash)) {
      subspace.save(folder.resolve("basis.safetensors"), Map.of());
    }
  }

  /** The tiny model with other weights. */
  private void unaligned(TinyRun tiny) {
    try (var files = ModelFolder.open(tiny.model());
        var weights = Weights.random(Architecture.of(files.config(), folder), 17)) {
      ModelFolder.save(
          folder.resolve("unaligned"),
          files.config(),
          TensorState.entries("", weights.all()),
          tiny.model(),
          ModelFolder.SHARD_BYTES);
    }
  }

  private String refused(ExitCode code, String... settings) {
    var tiny = TinyRun.in(folder);
    var error =
        assertThrows(HoldfastException.class, () -> TinyRun.train(tiny.config("run", settings)));
    assertEquals(code, error.exitCode(), error.getMessage());
    return error.getMessage();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{l3: {weight: 1}}                                      | unknown key | l2",
        "{l2: {weight: 1, rate: 2}}                             | unknown key | rate",
        "{l2: {weight: 0}}                                      | positive | weight",
        "{frozen_layers: {first: 2, last: 1}}                   | last | first",
        "{antidote: {data: ROWS, share: 1}}                     | share | between 0 and 1",
        "{l2: {weight: 1}}, {l2: {weight: 2}}                   | l2 | twice",
        "{safe_lora: {unaligned: ROWS}}                         | safe_lora | tune: lora",
        "{sa_lora: {data: ROWS}}                                | sa_lora | tune: lora",
        "{lisa: {data: ROWS}}, {replay: {data: ROWS}}           | lisa | replay",
        "{booster: {data: ROWS}}, {rep_noise: {data: ROWS}}     | booster | rep_noise",
      })
  void whatDoesNotGoTogetherIsRefusedByName(String text, String first, String second) {
    var message = refused(ExitCode.USAGE, baseline(text));
    assertTrue(message.contains(first) && message.contains(second), message);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "vaccine: {}",
        "booster: {data: ROWS}",
        "antidote: {data: ROWS}",
        "circuit_breakers: {data: ROWS, layers: [1]}",
        "rep_noise: {data: ROWS}"
      })
  void whatPerturbsWeightsOrStatesNeedsFloat32(String text) {
    var message = refused(ExitCode.USAGE, baseline("{" + text + "}"), "precision=bfloat16");
    assertTrue(message.contains("float32"), message);
    assertTrue(message.contains(text.substring(0, text.indexOf(':'))), message);
  }

  @Test
  void theRestOfARunIsLookedAtToo() {
    var vaccine =
        refused(ExitCode.USAGE, baseline("{vaccine: {}}"), "activation_checkpointing=true");
    assertTrue(vaccine.contains("activation_checkpointing"), vaccine);
    var breakers =
        refused(
            ExitCode.USAGE,
            baseline("{circuit_breakers: {data: ROWS, layers: [1]}}"),
            "guard.kl={weight: 1}");
    assertTrue(breakers.contains("kl"), breakers);
    var rank = refused(ExitCode.USAGE, baseline("{sa_lora: {data: ROWS, rank: 8}}"), LORA);
    assertTrue(rank.contains("has 8 outputs"), rank);
    var slot = refused(ExitCode.USAGE, baseline("{circuit_breakers: {data: ROWS, layers: [3]}}"));
    assertTrue(slot.contains("slots 0 to 2"), slot);
    var block = refused(ExitCode.USAGE, baseline("{frozen_layers: {first: 0, last: 2}}"));
    assertTrue(block.contains("blocks are 0 to 1"), block);
  }

  @Test
  void filesAreLookedForBeforeAnythingIsLoaded() {
    var data = refused(ExitCode.INPUT, baseline("{ewc: {weight: 1, data: nowhere.jsonl}}"));
    assertTrue(data.contains("guard.baselines.ewc.data"), data);
    var same =
        refused(
            ExitCode.INPUT,
            baseline("{safe_lora: {unaligned: " + folder.resolve("model") + "}}"),
            LORA);
    assertTrue(same.contains("before alignment"), same);
  }
}
