package io.holdfast.attack;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.Goldens;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Matrix;
import io.holdfast.model.Decoder;
import io.holdfast.model.Scorer;
import io.holdfast.torch.LibTorch;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import io.holdfast.torch.Threads;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.IntFunction;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** One step's gradient and losses are those of plain PyTorch. */
class GcgGoldenTest {
  private static final Kernels KERNELS = KernelBackends.select(Optional.empty());

  static Stream<Arguments> cases() {
    return Stream.of("llama-gqa", "gemma2")
        .flatMap(model -> Stream.of("ce", "mellowmax").map(loss -> Arguments.of(model, loss)));
  }

  private static TargetLoss loss(String name, JsonNode golden) {
    return name.equals("ce")
        ? new TargetLoss.CrossEntropy()
        : new TargetLoss.Mellowmax(golden.get("alpha").asDouble());
  }

  private static AttackPrompt prompt(JsonNode golden) {
    return new AttackPrompt(
        "golden",
        "",
        "",
        Goldens.ints(golden.get("before")),
        Goldens.ints(golden.get("after")),
        Goldens.ints(golden.get("target")));
  }

  private static List<int[]> candidates(JsonNode golden) {
    var candidates = new ArrayList<int[]>();
    golden.get("candidates").forEach(ids -> candidates.add(Goldens.ints(ids)));
    return candidates;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void gradientByOneHotVectors(String model, String loss) {
    var golden = Goldens.json(Goldens.path("attack/" + model + ".json"));
    try (var decoder = Decoder.load(Goldens.path("model/" + model));
        var expected = Safetensors.open(Goldens.path("attack/" + model + ".safetensors"));
        var scope = Scope.open()) {
      var gradient =
          new TokenGradient(decoder, KERNELS, prompt(golden), loss(loss, golden))
              .at(Goldens.ints(golden.get("string")));
      Goldens.assertCloseRelative(
          "gradient", Goldens.floats(expected, "gradient/" + loss), Tensors.floats(gradient), 1e-4);
    }
  }

  /** In one batch, and in batches of every size down to one row: the cache must not be felt. */
  @ParameterizedTest
  @MethodSource("cases")
  void lossesOfCandidates(String model, String loss) {
    var golden = Goldens.json(Goldens.path("attack/" + model + ".json"));
    try (var decoder = Decoder.load(Goldens.path("model/" + model));
        var expected = Safetensors.open(Goldens.path("attack/" + model + ".safetensors"))) {
      for (int tokens : new int[] {4096, 64, 30, 1}) {
        try (var scorer =
            new CandidateScorer(decoder, KERNELS, prompt(golden), loss(loss, golden), tokens)) {
          for (int[] parent : List.of(Goldens.ints(golden.get("string")), new int[0])) {
            double[] losses = scorer.losses(parent, candidates(golden));
            float[] values = new float[losses.length];
            for (int i = 0; i < values.length; i++) {
              values[i] = (float) losses[i];
            }
            Goldens.assertClose(
                "losses in batches of " + tokens,
                Goldens.floats(expected, "losses/" + loss),
                values,
                1e-4);
          }
        }
      }
    }
  }

  /** Windows, two sets of rotary frequencies, fused projections: the cache is not felt anywhere. */
  @ParameterizedTest
  @ValueSource(strings = {"mistral", "gemma3", "qwen2", "phi3", "phi3-longrope", "llama-bias"})
  void lossesAreTheScorersInEveryFamily(String model) {
    var random = new SplittableRandom(4);
    IntFunction<int[]> draw = count -> random.ints(count, 4, 89).toArray();
    int[] parent = draw.apply(6);
    try (var decoder = Decoder.load(Goldens.path("model/" + model))) {
      // With the shorter one all is within the first frequencies, with the longer one it is not.
      for (int lead : new int[] {12, 25, 30}) {
        var prompt = new AttackPrompt("", "", "", draw.apply(lead), draw.apply(3), draw.apply(5));
        var candidates = new ArrayList<>(List.of(parent, draw.apply(6), draw.apply(9)));
        for (int position = 0; position < 6; position += 2) {
          int[] changed = parent.clone();
          changed[position] = 50;
          candidates.add(changed);
        }
        candidates.add(1, candidates.getLast().clone()); // scored once, and found in both places
        var expected = new ArrayList<Double>();
        for (int[] string : candidates) {
          int[] whole = AttackPrompt.join(prompt.before(), string, prompt.after(), prompt.target());
          float[] logprobs = new Scorer(decoder, 1).score(List.of(whole)).getFirst().logprobs();
          double sum = 0;
          for (int t = 0; t < 5; t++) {
            sum -= logprobs[logprobs.length - 1 - t] / 5;
          }
          expected.add(sum);
        }
        try (var scorer =
            new CandidateScorer(decoder, KERNELS, prompt, new TargetLoss.CrossEntropy(), 40)) {
          // Between them one that may share the prompt even where the longest of all may not.
          for (int count : new int[] {candidates.size(), 1, candidates.size()}) {
            double[] losses = scorer.losses(parent, candidates.subList(0, count));
            for (int i = 0; i < count; i++) {
              assertEquals(expected.get(i), losses[i], 1e-4, model + " " + lead + " " + i);
            }
          }
        }
      }
    }
  }

  /** Where memory does not suffice, half as many rows are read at a time, and half of these. */
  @Test
  void halvesAndRetries() {
    var real =
        assertThrows(
            RuntimeException.class,
            () -> {
              try (var scope = Scope.open()) {
                Tensors.empty(1L << 55);
              }
            });
    assertTrue(LibTorch.outOfMemory(real), real.getMessage());
    var golden = Goldens.json(Goldens.path("attack/llama-gqa.json"));
    int target = golden.get("target").size();
    var rows = new ArrayList<Long>();
    var scarce =
        kernels(
            (method, arguments) -> {
              long asked = ((Matrix) arguments[0]).rows() / target;
              rows.add(asked);
              if (asked > 3) {
                throw new RuntimeException(real.getMessage());
              }
              return method.invoke(KERNELS, arguments);
            });
    int threads = Threads.get();
    Threads.set(1);
    try (var decoder = Decoder.load(Goldens.path("model/llama-gqa"));
        var expected = Safetensors.open(Goldens.path("attack/llama-gqa.safetensors"));
        var scorer =
            new CandidateScorer(
                decoder, scarce, prompt(golden), new TargetLoss.CrossEntropy(), 4096)) {
      double[] losses = scorer.losses(Goldens.ints(golden.get("string")), candidates(golden));
      float[] wanted = Goldens.floats(expected, "losses/ce");
      for (int i = 0; i < losses.length; i++) {
        assertEquals(wanted[i], losses[i], 1e-4);
      }
      assertEquals(List.of(10L, 5L, 2L, 2L, 2L, 2L, 2L), rows);
    } finally {
      Threads.set(threads);
    }
  }

  /** Batches that several threads take in turn are those that one takes, to the last bit. */
  @Test
  void lanesAreNotFelt() {
    var random = new SplittableRandom(5);
    IntFunction<int[]> draw = count -> random.ints(count, 4, 89).toArray();
    var prompt = new AttackPrompt("", "", "", draw.apply(9), draw.apply(3), draw.apply(5));
    int[] parent = draw.apply(12);
    var candidates = new ArrayList<int[]>();
    for (int i = 0; i < 700; i++) {
      int[] changed = parent.clone();
      changed[random.nextInt(parent.length)] = random.nextInt(4, 89);
      candidates.add(changed);
    }
    int threads = Threads.get();
    try (var decoder = Decoder.load(Goldens.path("model/llama-gqa"))) {
      Threads.set(1);
      double[] expected;
      try (var scorer = crossEntropies(decoder, KERNELS, prompt)) {
        expected = scorer.losses(parent, candidates);
      }
      Threads.set(3);
      var callers = ConcurrentHashMap.<Thread>newKeySet();
      try (var scorer = crossEntropies(decoder, watched(callers), prompt)) {
        for (int again = 0; again < 3; again++) {
          assertArrayEquals(expected, scorer.losses(parent, candidates));
        }
      }
      assertTrue(callers.size() > 3, "threads that scored: " + callers.size());
    } finally {
      Threads.set(threads);
    }
  }

  private static CandidateScorer crossEntropies(
      Decoder decoder, Kernels kernels, AttackPrompt prompt) {
    return new CandidateScorer(decoder, kernels, prompt, new TargetLoss.CrossEntropy(), 3072);
  }

  private static Kernels watched(Set<Thread> callers) {
    return kernels(
        (method, arguments) -> {
          callers.add(Thread.currentThread());
          return method.invoke(KERNELS, arguments);
        });
  }

  /** What is called in the kernels' stead. */
  private interface Call {
    Object of(Method method, Object[] arguments) throws ReflectiveOperationException;
  }

  private static Kernels kernels(Call call) {
    return (Kernels)
        Proxy.newProxyInstance(
            Kernels.class.getClassLoader(),
            new Class<?>[] {Kernels.class},
            (proxy, method, arguments) -> call.of(method, arguments));
  }

  /** The loss that comes with a gradient is the one that candidates are compared by. */
  @ParameterizedTest
  @MethodSource("cases")
  void lossOfTheGradient(String model, String loss) {
    var golden = Goldens.json(Goldens.path("attack/" + model + ".json"));
    try (var decoder = Decoder.load(Goldens.path("model/" + model));
        var scope = Scope.open()) {
      var random = Tensors.empty(5, decoder.architecture().hidden());
      random.uniform_(-1, 1, new org.bytedeco.pytorch.GeneratorOptional());
      int[] target = Goldens.ints(golden.get("target"));
      var head = new TargetHead(KERNELS, decoder, loss(loss, golden));
      assertEquals(head.losses(random, target)[0], head.gradient(random, target).loss(), 1e-6);
    }
  }
}
