package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.geometry.Basis;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class InterferenceTest {
  private static final int WIDTH = 16;

  @TempDir Path folder;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private static SafetySubspace subspace(double[][] vectors) {
    var bases = new TreeMap<Integer, double[][]>();
    var scales = new TreeMap<Integer, Double>();
    for (int slot = 0; slot <= 2; slot++) {
      var columns = new double[WIDTH][vectors.length];
      for (int i = 0; i < WIDTH; i++) {
        for (int k = 0; k < vectors.length; k++) {
          columns[i][k] = vectors[k][i];
        }
      }
      bases.put(slot, columns);
      scales.put(slot, 1.0);
    }
    return new SafetySubspace(bases, scales, "test");
  }

  private List<Example> rows(TinyRun run) {
    var config = run.config("x");
    try (var chat = io.holdfast.text.ChatTokenizer.load(config.model())) {
      return TrainingData.reader(config, chat)
          .read(List.of(folder.resolve("chats.jsonl")))
          .examples();
    }
  }

  /** Shares along the directions of a basis of everything add up to all there is. */
  @Test
  void sharesAddUp() {
    var run = TinyRun.in(folder);
    var kernels = KernelBackends.select(Optional.empty());
    var basis = Basis.random(WIDTH, WIDTH, 5).vectors();
    try (var model = Decoder.load(run.model());
        var all = subspace(basis)) {
      var rows = rows(run);
      Interference.of(model, rows, all, kernels).values().forEach(i -> assertEquals(1, i, 1e-5));
      var sums = new double[3];
      for (double[] direction : basis) {
        try (var one = subspace(new double[][] {direction})) {
          Interference.of(model, rows, one, kernels)
              .forEach((slot, share) -> sums[slot] += share / WIDTH);
        }
      }
      for (double sum : sums) {
        assertEquals(1, sum, 1e-5);
      }
    }
  }

  /**
   * The gradient by the state from which one token is predicted, by central differences of the
   * cross entropy: its share along an axis is what is reported.
   */
  @Test
  void isTheShareOfTheSlope() {
    var run = TinyRun.in(folder);
    var kernels = KernelBackends.select(Optional.empty());
    var row = oneToken(rows(run).getFirst());
    try (var model = Decoder.load(run.model())) {
      for (int slot : new int[] {1, 2}) {
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
          var direction = new double[WIDTH];
          direction[axis] = 1;
          try (var one = subspace(new double[][] {direction})) {
            double found = Interference.of(model, List.of(row), one, kernels).get(slot);
            assertEquals(gradient[axis] * gradient[axis] / square * WIDTH, found, 0.02);
          }
        }
      }
    }
  }

  private static Example oneToken(Example row) {
    var target = new boolean[row.length()];
    target[row.promptEnd() + 1] = true;
    return new Example(
        row.id(),
        row.ids(),
        target,
        row.instructionEnd(),
        row.promptEnd(),
        row.risk(),
        row.place());
  }

  /** The cross entropy where one number of the state before the answer is moved. */
  private static double loss(Decoder model, Example row, int slot, int axis, double by) {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var tap =
          new Tap() {
            @Override
            public boolean wants(Site site) {
              return site.equals(Site.residual(slot));
            }

            @Override
            public Tensor at(Site site, Tensor hidden) {
              var moved = hidden.clone();
              moved.select(1, row.promptEnd()).select(1, axis).add_(new Scalar(by));
              return moved;
            }
          };
      var hidden =
          model.forward(Tokens.of(Batch.of(List.of(row), 0)), AdapterMode.ON, List.of(tap));
      double[] logits = Tensors.doubles(model.logits(hidden.select(1, row.promptEnd())));
      double max = java.util.Arrays.stream(logits).max().orElseThrow();
      double sum = java.util.Arrays.stream(logits).map(z -> Math.exp(z - max)).sum();
      double loss = max + Math.log(sum) - logits[row.ids()[row.promptEnd() + 1]];
      assertTrue(Double.isFinite(loss));
      return loss;
    }
  }
}
