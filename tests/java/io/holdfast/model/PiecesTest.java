package io.holdfast.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import io.holdfast.Goldens;
import io.holdfast.checkpoint.LoraConfig;
import io.holdfast.checkpoint.ModuleNames;
import io.holdfast.checkpoint.SavedModules;
import io.holdfast.checkpoint.Scaling;
import io.holdfast.checkpoint.Targets;
import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.data.Place;
import io.holdfast.kernels.DType;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.bytedeco.pytorch.GeneratorOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A pass with native pieces against the same pass in LibTorch's operations alone. */
class PiecesTest {
  private static final String FLAG = "holdfast.fused";

  @AfterEach
  void nothingLives() {
    System.clearProperty(FLAG);
    assertEquals(0, Scope.live(), "scopes left open");
  }

  static Stream<String> models() throws IOException {
    try (var folders = Files.list(Goldens.path("model"))) {
      return folders.map(folder -> folder.getFileName().toString()).sorted().toList().stream();
    }
  }

  @Test
  void oneFlagSwitchesThemOff() {
    System.setProperty(FLAG, "true");
    assertNotNull(Pieces.of(null).kernels());
    System.setProperty(FLAG, "false");
    assertNull(Pieces.of(null).kernels());
  }

  @ParameterizedTest
  @MethodSource("models")
  void statesAndGradientsAreThoseOfLibTorch(String name) {
    try (var loaded = Decoder.load(Goldens.path("model/" + name))) {
      for (boolean packed : new boolean[] {false, true}) {
        compare(name + (packed ? ", packed" : ""), both(() -> whole(loaded.copy(), packed)), 2e-5);
      }
    }
  }

  /** Rounding in other places: as far apart as two attentions are. */
  @ParameterizedTest
  @MethodSource("models")
  void inBfloat16WithinItsRounding(String name) {
    try (var loaded = Decoder.load(Goldens.path("model/" + name))) {
      compare(name, both(() -> whole(loaded.copy(DType.BFLOAT16), false)), 8e-2);
    }
  }

  /** Gradients that pass through weights that are not trained. */
  @ParameterizedTest
  @ValueSource(strings = {"mistral", "gemma2", "phi3", "qwen3"})
  void underAnAdapter(String name) {
    compare(name, both(() -> adapted(name)), 2e-5);
  }

  /** The results with the pieces, and without. */
  private static List<Map<String, float[]>> both(Supplier<Map<String, float[]>> run) {
    System.setProperty(FLAG, "true");
    var with = run.get();
    System.setProperty(FLAG, "false");
    return List.of(with, run.get());
  }

  private static void compare(String what, List<Map<String, float[]>> both, double tolerance) {
    var with = both.getFirst();
    assertEquals(both.getLast().keySet(), with.keySet());
    assertFalse(with.isEmpty());
    both.getLast()
        .forEach(
            (tensor, expected) ->
                Goldens.assertCloseRelative(
                    what + ": " + tensor, expected, with.get(tensor), tolerance));
  }

  private static Map<String, float[]> whole(Decoder model, boolean packed) {
    try (model) {
      model.weights().all().values().forEach(weight -> weight.requires_grad_(true));
      return results(model, model.weights().all(), packed);
    }
  }

  private static Map<String, float[]> adapted(String name) {
    var config =
        new LoraConfig(
            "base",
            Scaling.of(4, 8),
            0,
            Targets.of(new ModuleNames.AllLinear()),
            new SavedModules(List.of(), false));
    try (var model =
        AdaptedDecoder.create(
            Decoder.load(Goldens.path("model/" + name)), config, AdaptedDecoder.Start.KAIMING, 3)) {
      try (var scope = Scope.open()) {
        // A B of zero would hide the gradient of A.
        torch.manual_seed(4);
        model
            .decoder()
            .adapters()
            .values()
            .forEach(update -> update.b().normal_(0, 0.1, new GeneratorOptional()));
      }
      model.parameters().values().forEach(tensor -> tensor.requires_grad_(true));
      return results(model.decoder(), model.parameters(), false);
    }
  }

  private static Map<String, float[]> results(
      Decoder model, Map<String, Tensor> trained, boolean packed) {
    var results = new LinkedHashMap<String, float[]>();
    try (var scope = Scope.open()) {
      var examples = examples(model.architecture().vocabulary());
      var tokens = Tokens.of(packed ? Batch.packed(examples) : Batch.of(examples, 0));
      try (var pass = TrainingPass.kept(model, tokens, Tap.NONE)) {
        results.put("states", Tensors.floats(pass.hidden()));
        torch.manual_seed(5);
        var gradient = Tensors.empty(Tensors.shape(pass.hidden()));
        gradient.normal_(0, 1, new GeneratorOptional());
        pass.backward(gradient.to(pass.hidden().scalar_type()));
      }
      trained.forEach(
          (name, tensor) -> {
            if (tensor.grad().defined()) {
              results.put(name, Tensors.floats(tensor.grad()));
            }
            tensor.mutable_grad().reset();
          });
    }
    return results;
  }

  private static List<Example> examples(int vocabulary) {
    var place = new Place(Path.of("rows.jsonl"), 1);
    var examples = new ArrayList<Example>();
    for (int length : new int[] {5, 30, 17}) {
      int[] ids = new SplittableRandom(length).ints(length, 3, vocabulary).toArray();
      examples.add(new Example("" + length, ids, new boolean[length], -1, -1, 0, place));
    }
    return examples;
  }
}
