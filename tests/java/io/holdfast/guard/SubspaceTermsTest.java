package io.holdfast.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.data.Place;
import io.holdfast.geometry.Basis;
import io.holdfast.geometry.TokenPosition;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.model.Architecture;
import io.holdfast.model.Decoder;
import io.holdfast.model.Weights;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Each term of the subspace guard at one layer: the edit of the gradient against autograd's of the
 * formula in its Javadoc, written with LibTorch in float64, and that against central differences.
 */
class SubspaceTermsTest {
  private static final int WIDTH = 16;
  private static final int RANK = 3;
  private static final int LAYER = 1;
  private static final String CONFIG =
      """
      {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 50,
       "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
       "num_key_value_heads": 1, "head_dim": 8, "intermediate_size": 24, "hidden_act": "silu",
       "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
       "tie_word_embeddings": true}
      """;

  @TempDir Path folder;
  private final List<Example> rows = new ArrayList<>();
  private final List<Example> anchors = new ArrayList<>();
  private final GuardedPositions positions = TokenPosition.TEMPLATE::of;

  @BeforeEach
  void examples() {
    var random = new SplittableRandom(2);
    for (int i = 0; i < 6; i++) {
      boolean anchor = i >= 3;
      int length = 7 + i;
      int prompt = anchor ? length - 1 : 5;
      var target = new boolean[length];
      for (int t = prompt + 1; t < length; t++) {
        target[t] = true;
      }
      var example =
          new Example(
              "row " + i,
              random.ints(length, 3, 50).toArray(),
              target,
              prompt - 2,
              prompt,
              anchor ? Float.NaN : 0.25f * (i + 1),
              new Place(Path.of("rows"), i));
      (anchor ? anchors : rows).add(example);
    }
  }

  private static SafetySubspace subspace() {
    var layers = new TreeMap<Integer, SubspaceFit.Layer>();
    double[] mean = new SplittableRandom(3).doubles(WIDTH).toArray();
    for (int layer : new int[] {1, 2}) {
      var basis = Basis.random(WIDTH, RANK, layer);
      layers.put(layer, new SubspaceFit.Layer(basis, 2.5, mean, new double[RANK], 0));
    }
    return SafetySubspace.of(layers, "test");
  }

  /** What a guard made of a gradient, and what it reported. */
  private record Found(
      float[] gradient, double[] coefficients, LinkedHashMap<String, Double> terms) {}

  /** The whole batch: rows first, then anchors. */
  private List<Example> all() {
    var all = new ArrayList<>(rows);
    all.addAll(anchors);
    return all;
  }

  private Found found(SubspaceGuard.Settings settings, float[] hidden, float[] gradient)
      throws Exception {
    var kernels = KernelBackends.select(Optional.empty());
    var architecture = Architecture.of(new ObjectMapper().readTree(CONFIG), folder);
    try (var scope = Scope.open();
        var decoder = new Decoder(architecture, Weights.random(architecture, 1));
        var subspace = subspace();
        var coefficients =
            ReferenceCoefficients.of(
                folder.resolve("c.safetensors"),
                "test",
                all(),
                positions,
                subspace,
                decoder,
                kernels)) {
      var batch = Batch.of(all(), 0);
      var terms = new LinkedHashMap<String, Double>();
      var h = Tensors.of(hidden, batch.rows() * batch.width(), WIDTH);
      var g = Tensors.of(gradient, batch.rows() * batch.width(), WIDTH);
      var geometry = new AnchorGeometry(subspace, coefficients, positions, anchors);
      // A window of two micro-batches, of which this is one: shares are the window's.
      new LayerConstraint(settings, subspace, coefficients, geometry, kernels, LAYER, terms)
          .apply(
              HeldTokens.of(batch, positions, settings),
              Tensors.matrix(g),
              Tensors.matrix(h),
              new LayerConstraint.Shares(30, 18, 6));
      var c = new ArrayList<Double>();
      for (var example : all()) {
        for (double[] row : coefficients.of(LAYER, example, positions.of(example).length)) {
          for (double x : row) {
            c.add(x);
          }
        }
      }
      double[] values = c.stream().mapToDouble(x -> x).toArray();
      return new Found(Tensors.floats(g), values, terms);
    }
  }

  /** The formula, as it stands in the guard's Javadoc; the layers' share of it at one layer. */
  private Tensor objective(SubspaceGuard.Settings settings, Tensor hidden, double[] coefficients) {
    var batch = Batch.of(all(), 0);
    try (var subspace = subspace()) {
      var u = Tensors.of(subspace.directions(LAYER).vectors()).t();
      var mu = Tensors.of(subspace.benignMean(LAYER), 1, WIDTH);
      var total = torch.scalar_tensor(new Scalar(0.0));
      var c = Tensors.of(coefficients, coefficients.length / RANK, RANK);
      var now = new ArrayList<Tensor>();
      var before = new ArrayList<Tensor>();
      var spread = torch.scalar_tensor(new Scalar(0.0));
      var stability = torch.scalar_tensor(new Scalar(0.0));
      long at = 0;
      for (int r = 0; r < all().size(); r++) {
        var example = all().get(r);
        boolean anchor = Anchor.is(example);
        double a = settings.byRisk() && !anchor ? example.risk() : 1;
        int[] tokens = positions.of(example);
        for (int i = 0; i < tokens.length; i++, at++) {
          var s = hidden.narrow(0, batch.starts()[r] + tokens[i], 1).mm(u);
          var off = s.sub(c.narrow(0, at, 1)).square().sum();
          total = total.add(off.mul(new Scalar(settings.update() / 2 * a / (30 * 2 * 2.5))));
          if (anchor) {
            stability = stability.add(off);
            spread = spread.add(c.narrow(0, at, 1).sub(mu.mm(u)).square().sum());
          }
          if (anchor && i == tokens.length - 1) {
            now.add(s.sub(mu.mm(u)));
            before.add(c.narrow(0, at, 1).sub(mu.mm(u)));
          }
        }
      }
      int anchorTokens = anchors.stream().mapToInt(e -> positions.of(e).length).sum();
      var mean = spread.div(new Scalar(anchorTokens)).detach();
      total = total.add(stability.div(mean).mul(new Scalar(settings.stability() / 2 / (18.0 * 2))));
      var target = gram(before);
      var distance = gram(now).sub(target).square().sum().div(target.square().sum());
      return total.add(distance.mul(new Scalar(settings.geometry() / 2 * 3 / (6.0 * 2))));
    }
  }

  private static Tensor gram(List<Tensor> rows) {
    var all = torch.cat(new org.bytedeco.pytorch.TensorVector(rows.toArray(Tensor[]::new)), 0);
    var unit = all.div(all.square().sum(new long[] {1}, true, new ScalarTypeOptional()).sqrt());
    return unit.mm(unit.t());
  }

  private float[] random(long seed) {
    var batch = Batch.of(all(), 0);
    var random = new SplittableRandom(seed);
    var values = new float[batch.rows() * batch.width() * WIDTH];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  @ParameterizedTest
  @CsvSource({
    "2, 0, 0, false",
    "2, 0, 0, true",
    "0, 3, 0, false",
    "0, 0, 4, false",
    "1.5, 0.7, 0.9, true"
  })
  void theGradientIsAutograds(double update, double stability, double geometry, boolean byRisk)
      throws Exception {
    var settings = new SubspaceGuard.Settings(update, 0, stability, geometry, byRisk, false);
    float[] hidden = random(7);
    var found = found(settings, hidden, new float[hidden.length]);
    try (var scope = Scope.open()) {
      var h =
          Tensors.of(hidden, hidden.length / WIDTH, WIDTH)
              .to(torch.ScalarType.Double)
              .requires_grad_(true);
      objective(settings, h, found.coefficients()).backward();
      double[] expected = Tensors.doubles(h.grad());
      double off = 0;
      double all = 0;
      for (int i = 0; i < expected.length; i++) {
        off += Math.pow(expected[i] - found.gradient()[i], 2);
        all += expected[i] * expected[i];
      }
      assertTrue(all > 0);
      assertEquals(0, Math.sqrt(off / all), 1e-5);
    }
  }

  @Test
  void autogradsGradientIsTheSlopeInDoublePrecision() throws Exception {
    var settings = new SubspaceGuard.Settings(1.5, 0, 0.7, 0.9, true, false);
    float[] hidden = random(8);
    var found = found(settings, hidden, new float[hidden.length]);
    try (var scope = Scope.open()) {
      var h = Tensors.of(hidden, hidden.length / WIDTH, WIDTH).to(torch.ScalarType.Double);
      var along = Tensors.of(random(9), hidden.length / WIDTH, WIDTH).to(torch.ScalarType.Double);
      var leaf = h.clone().requires_grad_(true);
      objective(settings, leaf, found.coefficients()).backward();
      double expected = leaf.grad().mul(along).sum().item_double();
      var step = along.mul(new Scalar(1e-6));
      double above = objective(settings, h.add(step), found.coefficients()).item_double();
      double below = objective(settings, h.sub(step), found.coefficients()).item_double();
      assertEquals(1, (above - below) / 2e-6 / expected, 1e-6);
    }
  }

  @Test
  void theFilterRemovesTheTasksPartInsideTheSubspaceAtGuardedTokensAlone() throws Exception {
    var settings = new SubspaceGuard.Settings(0, 1, false, false);
    float[] task = random(10);
    var found = found(settings, random(11), task);
    var batch = Batch.of(all(), 0);
    var guarded = new boolean[batch.rows() * batch.width()];
    for (int r = 0; r < all().size(); r++) {
      for (int t : positions.of(all().get(r))) {
        guarded[batch.starts()[r] + t] = true;
      }
    }
    try (var subspace = subspace()) {
      var basis = subspace.directions(LAYER);
      for (int t = 0; t < guarded.length; t++) {
        var before = new double[WIDTH];
        var after = new double[WIDTH];
        for (int j = 0; j < WIDTH; j++) {
          before[j] = task[t * WIDTH + j];
          after[j] = found.gradient()[t * WIDTH + j];
        }
        double[] expected = guarded[t] ? basis.reject(before) : before;
        for (int j = 0; j < WIDTH; j++) {
          assertEquals(expected[j], after[j], 1e-5);
        }
      }
    }
  }

  @Test
  void theReportedTermsAreTheObjectives() throws Exception {
    float[] hidden = random(12);
    var names = List.of("subspace_penalty", "subspace_stability", "subspace_geometry");
    for (int term = 0; term < 3; term++) {
      var settings =
          new SubspaceGuard.Settings(
              term == 0 ? 2 : 0, 0, term == 1 ? 2 : 0, term == 2 ? 2 : 0, false, false);
      var found = found(settings, hidden, new float[hidden.length]);
      try (var scope = Scope.open()) {
        var h = Tensors.of(hidden, hidden.length / WIDTH, WIDTH).to(torch.ScalarType.Double);
        double expected = objective(settings, h, found.coefficients()).item_double();
        assertEquals(1, found.terms().get(names.get(term)) / expected, 1e-5);
      }
    }
  }
}
