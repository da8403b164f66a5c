package io.holdfast.geometry;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class InterferenceTest {
  private static final int WIDTH = 32;
  private static final int DEPTH = 4;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private static Decoder model() {
    return Decoder.load(Path.of("tests/goldens/model/llama-gqa"));
  }

  /** A row whose last tokens are its answer. */
  private static Example row(int prompt, int answer, long seed) {
    var random = new Random(seed);
    var ids = random.ints(prompt + answer, 3, 97).toArray();
    var target = new boolean[ids.length];
    Arrays.fill(target, prompt, ids.length, true);
    return new Example("row", ids, target, prompt - 1, prompt - 1, Float.NaN, null);
  }

  private static TreeMap<Integer, Basis> everywhere(Basis basis) {
    var slots = new TreeMap<Integer, Basis>();
    for (int slot = 0; slot <= DEPTH; slot++) {
      slots.put(slot, basis);
    }
    return slots;
  }

  /** Shares along the directions of a basis of everything add up to all there is. */
  @Test
  void sharesAddUp() {
    var rows = List.of(row(4, 3, 1), row(6, 5, 2));
    var basis = Basis.random(WIDTH, WIDTH, 5);
    try (var model = model()) {
      Interference.of(model, rows, everywhere(basis))
          .values()
          .forEach(found -> assertEquals(1, found.normalised(), 1e-9));
      var sums = new double[DEPTH + 1];
      for (double[] direction : basis.vectors()) {
        Interference.of(model, rows, everywhere(new Basis(new double[][] {direction})))
            .forEach((slot, found) -> sums[slot] += found.normalised() / WIDTH);
      }
      for (double sum : sums) {
        assertEquals(1, sum, 1e-6);
      }
    }
  }

  /**
   * The gradient by the state from which one token is predicted, by central differences of the
   * cross entropy: its share along an axis is what is reported.
   */
  @Test
  void isTheShareOfTheSlope() {
    var row = row(7, 1, 3);
    try (var model = model()) {
      for (int slot : new int[] {1, DEPTH}) {
        var gradient = new double[WIDTH];
        double square = 0;
        for (int axis = 0; axis < WIDTH; axis++) {
          double step = 1e-2;
          double slope =
              (loss(model, row, slot, axis, step) - loss(model, row, slot, axis, -step))
                  / (2 * step);
          gradient[axis] = slope;
          square += slope * slope;
        }
        for (int axis = 0; axis < WIDTH; axis += 5) {
          var direction = Planted.axis(WIDTH, axis, 1);
          var at = new TreeMap<>(Map.of(slot, Basis.span(List.of(direction))));
          double found = Interference.of(model, List.of(row), at).get(slot).normalised();
          assertEquals(gradient[axis] * gradient[axis] / square * WIDTH, found, 0.02);
        }
      }
    }
  }

  /** The cross entropy where one number of the state before the answer is moved. */
  private static double loss(Decoder model, Example row, int slot, int axis, double by) {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var tap =
          new At(slot) {
            @Override
            public Tensor at(Site site, Tensor hidden) {
              var moved = hidden.clone();
              moved.select(1, row.promptEnd()).select(1, axis).add_(new Scalar(by));
              return moved;
            }
          };
      return crossEntropy(model, row, tap).item_double();
    }
  }

  /** The head takes long answers piece by piece; backpropagation of the whole finds the same. */
  @Test
  void longAnswersAreTakenWhole() {
    var row = row(5, 300, 4);
    var basis = Basis.random(WIDTH, 3, 6);
    try (var model = model();
        var owner = new TensorOwner();
        var scope = Scope.open()) {
      var seen = new Tensor[1];
      crossEntropy(
              model,
              row,
              new At(2) {
                @Override
                public Tensor at(Site site, Tensor hidden) {
                  seen[0] = owner.own(hidden.detach().requires_grad_(true));
                  return seen[0];
                }
              })
          .backward();
      double[] flat = Tensors.doubles(seen[0].grad());
      var gradients =
          IntStream.range(4, 304)
              .mapToObj(t -> Arrays.copyOfRange(flat, t * WIDTH, (t + 1) * WIDTH))
              .toArray(double[][]::new);
      var at = new TreeMap<>(Map.of(2, basis));
      double found = Interference.of(model, List.of(row), at).get(2).normalised();
      assertEquals(basis.share(gradients) * WIDTH / 3, found, 1e-5);
    }
  }

  private abstract static class At implements Tap {
    private final int slot;

    At(int slot) {
      this.slot = slot;
    }

    @Override
    public boolean wants(Site site) {
      return site.equals(Site.residual(slot));
    }
  }

  private static Tensor crossEntropy(Decoder model, Example row, Tap tap) {
    var hidden = model.forward(Tokens.of(Batch.of(List.of(row), 0)), AdapterMode.ON, List.of(tap));
    int prompt = row.promptEnd() + 1;
    int answer = row.length() - prompt;
    long[] labels = IntStream.range(prompt, row.length()).mapToLong(t -> row.ids()[t]).toArray();
    var logits = model.logits(hidden.select(0, 0).narrow(0, prompt - 1, answer));
    return logits.log_softmax(1).gather(1, Tensors.of(labels, answer, 1)).sum().neg();
  }
}
