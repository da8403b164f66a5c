package io.holdfast.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.holdfast.Goldens;
import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.data.Place;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.bytedeco.pytorch.GeneratorOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is computed once more on the way back gives the gradients of what was kept. */
class RecomputedPassTest {
  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  @ParameterizedTest
  @CsvSource({
    "llama-bias, false",
    "mistral, false",
    "mistral, true",
    "gemma2, true",
    "gemma3, false",
    "qwen3, true",
    "phi3, false"
  })
  void gradientsAreEqualBitForBit(String name, boolean packed) {
    try (var loaded = Decoder.load(Goldens.path("model/" + name))) {
      var kept = gradients(loaded, packed, false);
      var recomputed = gradients(loaded, packed, true);
      assertEquals(kept.keySet(), recomputed.keySet());
      kept.forEach(
          (weight, gradient) -> assertArrayEquals(gradient, recomputed.get(weight), weight));
    }
  }

  private static Map<String, float[]> gradients(
      Decoder loaded, boolean packed, boolean recomputed) {
    var gradients = new LinkedHashMap<String, float[]>();
    try (var model = loaded.copy();
        var scope = Scope.open()) {
      model.weights().all().values().forEach(weight -> weight.requires_grad_(true));
      var examples = examples(model.architecture().vocabulary());
      var tokens = Tokens.of(packed ? Batch.packed(examples) : Batch.of(examples, 0));
      try (var pass =
          recomputed
              ? TrainingPass.recomputed(model, tokens, Tap.NONE)
              : TrainingPass.kept(model, tokens, Tap.NONE)) {
        torch.manual_seed(5);
        var gradient = Tensors.empty(Tensors.shape(pass.hidden()));
        gradient.normal_(0, 1, new GeneratorOptional());
        pass.backward(gradient);
      }
      model
          .weights()
          .all()
          .forEach(
              (weight, tensor) -> {
                Tensor gradient = tensor.grad();
                // The head alone has none: it is no part of the pass.
                if (gradient.defined()) {
                  gradients.put(weight, Tensors.floats(gradient));
                }
                tensor.mutable_grad().reset();
              });
    }
    return gradients;
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
