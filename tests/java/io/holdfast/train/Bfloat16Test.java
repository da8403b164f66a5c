package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFolder;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.kernels.DType;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels.KlDirection;
import io.holdfast.model.AdaptedDecoder;
import io.holdfast.model.Decoder;
import io.holdfast.risk.RowRisks;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Training in bfloat16 with float32 masters. */
class Bfloat16Test {
  private static final String WORLD = "src/main/resources/io/holdfast/world/base";
  private static final String LORA = "tune={lora: {rank: 4, alpha: 8}}";

  @TempDir Path folder;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  /** Within four times what two attentions of {@code transformers} differ by. */
  @ParameterizedTest
  @ValueSource(strings = {"bfloat16", "bfloat16-lora"})
  void followsTheTrace(String name) {
    var trace = Trace.of(name);
    if (trace.named("adapter") == null) {
      try (var file = Decoder.load(trace.named("model"));
          var wide = file.copy();
          var model = wide.copy(DType.BFLOAT16)) {
        model.weights().all().values().forEach(weight -> weight.requires_grad_(true));
        follow(trace, model, wide.weights().all(), model.weights().all());
      }
      return;
    }
    try (var adapted =
        AdaptedDecoder.load(
            Decoder.load(trace.named("model"), DType.BFLOAT16), trace.named("adapter"))) {
      adapted.parameters().values().forEach(tensor -> tensor.requires_grad_(true));
      follow(trace, adapted.decoder(), adapted.parameters(), Map.of());
    }
  }

  private static void follow(
      Trace trace,
      Decoder model,
      SequencedMap<String, Tensor> parameters,
      Map<String, Tensor> rounded) {
    var kernels = KernelBackends.select(Optional.of("cpu"));
    var betas = trace.settings().get("betas");
    var settings =
        new Adamw.Settings(
            betas.get(0).asDouble(),
            betas.get(1).asDouble(),
            trace.number("eps"),
            trace.number("weight_decay"));
    var deviation = trace.json().get("deviation");
    try (var optimizer = new Adamw(kernels, settings, new LinkedHashMap<>(parameters), rounded)) {
      var trainer =
          new Trainer(
              new Trainer.Plan((long) trace.number("steps"), trace.number("clip_norm"), 0, 0, 1),
              model,
              new Windows(
                  Trace.rows(),
                  (int) trace.number("micro_batch"),
                  (int) trace.number("accumulation"),
                  false,
                  false,
                  1),
              new Schedule(
                  trace.number("lr"),
                  (long) trace.number("warmup_steps"),
                  (long) trace.number("steps"),
                  Schedule.Decay.COSINE),
              optimizer,
              List.of(),
              new RowRisks(0),
              null,
              KlDirection.FORWARD,
              List.of(),
              kernels);
      while (!trainer.done()) {
        var report = trainer.step();
        var golden = trace.step(report.step());
        var step = "step " + report.step();
        assertEquals(
            golden.get("loss").asDouble(),
            report.loss(),
            4 * deviation.get("loss").asDouble(),
            step);
        assertEquals(
            1,
            report.gradNorm() / golden.get("grad_norm").asDouble(),
            4 * deviation.get("grad_norm").asDouble(),
            step);
      }
    }
  }

  /** Guards and packing included, it learns what float32 learns. */
  @ParameterizedTest
  @ValueSource(strings = {"full", "lora", "saved", "guarded"})
  void itReachesTheLossOfFloat32(String kind) {
    var tiny = TinyRun.in(folder);
    var settings = new ArrayList<>(List.of("model=" + WORLD));
    settings.add("optimizer.lr=" + (kind.equals("full") ? 2e-3 : 4e-3));
    settings.add("data.train=[" + folder.resolve("chats.jsonl") + "]");
    if (!kind.equals("full")) {
      var saved = kind.equals("saved") ? ", modules_to_save: [embed_tokens, model.norm]" : "";
      settings.add("tune={lora: {rank: 8, alpha: 32, targets: [all-linear]%s}}".formatted(saved));
    }
    if (kind.equals("guarded")) {
      var harmful = tiny.write("harmful.jsonl", prompts("the red lamp", "a river", "bread"));
      var benign = tiny.write("benign.jsonl", prompts("stone", "the blue cloud", "a lamp"));
      settings.add("data.packing=true");
      settings.add("data.max_length=64");
      settings.add("guard.kl={weight: 0.1}");
      settings.add(
          "guard.subspace={rank: 2, filter: 0.5, contrast: {harmful: %s, benign: %s}}"
              .formatted(harmful, benign));
    }
    TinyRun.train(tiny.config("wide", settings.toArray(String[]::new)));
    settings.add("precision=bfloat16");
    TinyRun.train(tiny.config("narrow", settings.toArray(String[]::new)));
    var wide = Goldens.lines(tiny.output("wide").resolve("metrics.jsonl"));
    var narrow = Goldens.lines(tiny.output("narrow").resolve("metrics.jsonl"));
    double first = wide.getFirst().get("loss").asDouble();
    assertTrue(
        lastFive(wide) < 0.9 * first, "it learns nothing: " + first + " to " + lastFive(wide));
    // The bound: two hundredths of the first loss, in the mean of the last five steps.
    assertEquals(lastFive(wide), lastFive(narrow), 0.02 * first);
  }

  private static double lastFive(List<JsonNode> lines) {
    return lines.subList(lines.size() - 5, lines.size()).stream()
        .mapToDouble(line -> line.get("loss").asDouble())
        .average()
        .orElseThrow();
  }

  private static List<String> prompts(String... texts) {
    return java.util.Arrays.stream(texts)
        .map("{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}]}"::formatted)
        .toList();
  }

  @Test
  void aCheckpointHoldsRoundedWeightsAndTheirMasters() {
    var tiny = TinyRun.in(folder);
    // Updates of a size that bfloat16 alone would lose.
    var checkpoint = TinyRun.train(tiny.config("run", "precision=bfloat16", "optimizer.lr=1e-6"));
    try (var scope = Scope.open();
        var model = ModelFolder.open(checkpoint);
        var start = ModelFolder.open(tiny.model());
        var state = Safetensors.open(checkpoint.resolve("optimizer.safetensors"))) {
      assertEquals("bfloat16", model.config().get("dtype").asText());
      boolean moved = false;
      for (var name : model.names()) {
        var entry = model.tensor(name);
        var master = state.get("master." + name);
        assertEquals(DType.BFLOAT16, entry.dtype(), name);
        assertEquals(DType.FLOAT32, master.dtype(), name);
        var wide = Tensors.sharing(master.data(), master.dtype(), master.sizes());
        var narrow = Tensors.sharing(entry.data(), entry.dtype(), entry.sizes());
        assertArrayEquals(
            Tensors.floats(Tensors.copy(wide, DType.BFLOAT16)), Tensors.floats(narrow), name);
        var before = start.tensor(name);
        moved |=
            !java.util.Arrays.equals(
                Tensors.floats(Tensors.sharing(before.data(), before.dtype(), before.sizes())),
                Tensors.floats(wide));
      }
      assertTrue(moved, "the masters stood still");
    }
  }

  @Test
  void anAdapterStaysFloat32() {
    var tiny = TinyRun.in(folder);
    var checkpoint = TinyRun.train(tiny.config("run", "precision=bfloat16", "steps=2", LORA));
    try (var adapter = Safetensors.open(checkpoint.resolve("adapter_model.safetensors"))) {
      adapter.names().forEach(name -> assertEquals(DType.FLOAT32, adapter.get(name).dtype(), name));
    }
  }

  @Test
  void aRunGoesOnInItsOwnPrecisionAlone() {
    var tiny = TinyRun.in(folder);
    for (var kind : List.of("float32", "bfloat16")) {
      TinyRun.train(tiny.config(kind, "precision=" + kind, "steps=2"));
      var other = kind.equals("float32") ? "bfloat16" : "float32";
      var refused =
          assertThrows(
              HoldfastException.class,
              () -> TinyRun.resume(tiny.config(kind, "precision=" + other, "steps=4")));
      assertEquals(ExitCode.INPUT, refused.exitCode());
      assertTrue(refused.getMessage().contains("precision: " + kind), refused.getMessage());
    }
  }

  /** Of modules trained in full beside a LoRA, too; and a resumed run goes on from them. */
  @Test
  void savedModulesHaveMastersThatAResumedRunGoesOnFrom() {
    var tiny = TinyRun.in(folder);
    var saved = "tune={lora: {rank: 2, modules_to_save: [embed_tokens]}}";
    // Updates of a size that bfloat16 alone would lose.
    var settings = new String[] {saved, "precision=bfloat16", "optimizer.lr=1e-5"};
    var whole = TinyRun.train(tiny.config("whole", settings));
    var name = "base_model.model.model.embed_tokens.weight";
    try (var scope = Scope.open();
        var start = ModelFolder.open(tiny.model());
        var adapter = Safetensors.open(whole.resolve("adapter_model.safetensors"));
        var state = Safetensors.open(whole.resolve("optimizer.safetensors"))) {
      assertEquals(DType.BFLOAT16, adapter.get(name).dtype());
      var master = state.get("master." + name);
      var moved = Tensors.sharing(master.data(), DType.FLOAT32, master.sizes());
      var file = start.tensor("model.embed_tokens.weight");
      var before = Tensors.sharing(file.data(), DType.FLOAT32, file.sizes());
      double most = moved.sub(before).abs().max().item_double();
      assertTrue(most > 0 && most < 20 * 1e-5 * 1.1, "moved by " + most);
    }
    var half = new ArrayList<>(List.of(settings));
    half.add("checkpoint.every=10");
    half.add("checkpoint.keep=5");
    var config = tiny.config("half", half.toArray(String[]::new));
    TinyRun.train(config);
    AtomicFolder.delete(tiny.output("half").resolve("checkpoints/step-20"));
    var resumed = TinyRun.resume(config);
    for (var file : List.of("adapter_model.safetensors", "optimizer.safetensors")) {
      assertEquals(TinyRun.bits(whole.resolve(file)), TinyRun.bits(resumed.resolve(file)), file);
    }
  }
}
