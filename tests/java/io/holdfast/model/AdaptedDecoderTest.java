package io.holdfast.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AdapterFolder;
import io.holdfast.checkpoint.LoraConfig;
import io.holdfast.checkpoint.ModuleNames;
import io.holdfast.checkpoint.SavedModules;
import io.holdfast.checkpoint.Scaling;
import io.holdfast.checkpoint.Targets;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.model.AdaptedDecoder.Start;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class AdaptedDecoderTest {
  private static final Path BASE = Goldens.path("train/base");
  private static final Path TIED = Goldens.path("train/base-tied");
  private static final List<int[]> PROBE = List.of(new int[] {5, 17, 40, 3, 90, 12});

  @TempDir Path folder;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private static LoraConfig config(String target, List<String> saved, boolean tied) {
    return new LoraConfig(
        "base",
        Scaling.of(8, 16),
        0,
        Targets.of(ModuleNames.listed(target)),
        new SavedModules(saved, tied));
  }

  private static float[] logits(Decoder decoder) {
    return new Scorer(decoder, 1).score(PROBE).getFirst().lastLogits();
  }

  @ParameterizedTest
  @EnumSource(Start.class)
  void aNewAdapterChangesNothing(Start start) {
    try (var adapted =
        AdaptedDecoder.create(
            Decoder.load(TIED), config("up_proj", List.of("embed_tokens"), false), start, 3)) {
      assertArrayEquals(logits(adapted.base()), logits(adapted.decoder()));
      assertFalse(adapted.decoder().tied(), "the head stays what it was");
    }
  }

  /** Moments of the distributions that PEFT names: U(-1/sqrt(in), 1/sqrt(in)) and N(0, 1/r). */
  @Test
  void theStartsAreThoseOfPeft() {
    double bound = 1 / Math.sqrt(32);
    double[] uniform = drawn(Start.KAIMING, 1);
    for (double a : uniform) {
      assertTrue(Math.abs(a) <= bound, a + " beyond " + bound);
    }
    assertEquals(bound / Math.sqrt(3), deviation(uniform), 0.05 * bound);
    double[] normal = drawn(Start.GAUSSIAN, 1);
    assertEquals(1.0 / 8, deviation(normal), 0.01);
    double fourth =
        IntStream.range(0, normal.length).mapToDouble(i -> Math.pow(normal[i], 4)).sum();
    assertEquals(3, fourth / normal.length / Math.pow(deviation(normal), 4), 0.6, "kurtosis");
    assertArrayEquals(normal, drawn(Start.GAUSSIAN, 1));
    assertFalse(java.util.Arrays.equals(normal, drawn(Start.GAUSSIAN, 2)), "the seed is not used");
  }

  private static double[] drawn(Start start, long seed) {
    try (var adapted =
        AdaptedDecoder.create(
            Decoder.load(BASE), config("q_proj", List.of(), false), start, seed)) {
      var values = new ArrayList<Float>();
      adapted
          .parameters()
          .forEach(
              (name, tensor) -> {
                for (float value : Tensors.floats(tensor)) {
                  if (name.contains("lora_A")) {
                    values.add(value);
                  } else {
                    assertEquals(0, value, name);
                  }
                }
              });
      return values.stream().mapToDouble(Float::doubleValue).toArray();
    }
  }

  private static double deviation(double[] values) {
    return Math.sqrt(java.util.Arrays.stream(values).map(x -> x * x).sum() / values.length);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void whatIsWrittenIsReadAgain(boolean tied) {
    var config = config("down_proj", List.of("embed_tokens", "model.norm"), tied);
    var file = new ArrayList<String>();
    try (var adapted = AdaptedDecoder.create(Decoder.load(TIED), config, Start.GAUSSIAN, 4)) {
      assertEquals(tied, adapted.decoder().tied());
      adapted.write(folder, Optional.of("abc"));
      try (var files = AdapterFolder.open(folder);
          var again = AdaptedDecoder.load(TIED, folder)) {
        file.addAll(files.saved().keySet());
        assertEquals(Optional.of("abc"), files.baseHash());
        assertEquals(config, again.config());
        assertEquals(
            List.copyOf(adapted.parameters().keySet()), List.copyOf(again.parameters().keySet()));
        assertArrayEquals(logits(adapted.decoder()), logits(again.decoder()));
      }
    }
    var expected = new ArrayList<>(List.of("model.embed_tokens.weight", "model.norm.weight"));
    if (tied) {
      expected.addFirst("lm_head.weight");
    }
    assertEquals(expected, file);
  }

  @Test
  void whatCannotBeIsRefusedByName() {
    refused(
        config("qkv_proj", List.of(), false), "selects no projection of the model; it has q_proj");
    refused(
        config("q_proj", List.of("lm_heat"), false), "modules_to_save: lm_heat names no module");
    refused(
        config("q_proj", List.of("proj"), false), "is both a target and one of modules_to_save");
  }

  private static void refused(LoraConfig config, String what) {
    try (var base = Decoder.load(BASE)) {
      var error =
          assertThrows(
              HoldfastException.class, () -> AdaptedDecoder.create(base, config, Start.KAIMING, 1));
      assertEquals(ExitCode.USAGE, error.exitCode());
      assertTrue(error.getMessage().contains(what), error.getMessage());
    }
  }

  @Test
  void anAdapterOfAnotherModelIsRefused() {
    wrong(Goldens.path("train/adapter-rich"), Goldens.path("model/llama-gqa"), "another model");
    // A head that is saved beside an adapter that keeps none.
    var config = config("q_proj", List.of("lm_head"), false);
    var a = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    var tensors =
        List.of(
            TensorEntry.of(a, List.of(8L, 32L), new float[8 * 32]),
            TensorEntry.of(a.replace("_A.", "_B."), List.of(32L, 8L), new float[8 * 32]));
    AdapterFolder.save(folder.resolve("adapter"), config, tensors, Optional.empty());
    wrong(folder.resolve("adapter"), BASE, "lm_head.weight is not in the file");
  }

  private static void wrong(Path adapter, Path model, String what) {
    var error =
        assertThrows(HoldfastException.class, () -> AdaptedDecoder.load(model, adapter).close());
    assertEquals(ExitCode.INPUT, error.exitCode());
    assertTrue(error.getMessage().contains(what), error.getMessage());
    assertTrue(error.getMessage().startsWith(adapter.toString()), error.getMessage());
  }
}
