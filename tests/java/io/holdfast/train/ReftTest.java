package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.geometry.Basis;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.ReftDecoder;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Interventions on the residual stream: trained, saved, loaded, resumed, held by a guard. */
class ReftTest {
  private static final int WIDTH = 16;
  private static final int RANK = 3;
  private static final int SAFE = 5;
  private static final int STEPS = 4;
  private static final long[] IDS = {5, 9, 77, 130, 8, 42};

  @TempDir Path folder;
  private TinyRun run;

  @BeforeEach
  void model() {
    run = TinyRun.in(folder);
  }

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private Path train(String name, String... more) {
    var settings =
        new ArrayList<>(
            List.of(
                "steps=" + STEPS,
                "schedule.warmup_steps=0",
                "checkpoint.every=1",
                "checkpoint.keep=10",
                "tune.reft.rank=" + RANK,
                "tune.reft.layers=[1, 2]"));
    settings.addAll(List.of(more));
    TinyRun.train(run.config(name, settings.toArray(String[]::new)));
    return run.output(name).resolve("checkpoints");
  }

  private static float[] outputs(Decoder decoder, List<Tap> taps) {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var tokens = Tokens.rightPadded(Tensors.of(IDS, 1, IDS.length));
      return Tensors.floats(decoder.forward(tokens, AdapterMode.ON, taps));
    }
  }

  @Test
  void aNewOneIsTheIdentity() {
    try (var base = Decoder.load(run.model())) {
      float[] plain = outputs(base, Tap.NONE);
      var reft = ReftDecoder.create(base, List.of(0, 1, 2), RANK, 1);
      assertArrayEquals(plain, outputs(reft.decoder(), Tap.NONE), 1e-6f);
    }
  }

  /** What a block sees is {@code h + R^T (W h + b - R h)} of what the one before it left. */
  @Test
  void movesStatesByItsFormula() {
    var last = train("formula").resolve("step-" + STEPS);
    double[][] r = rows(last, "layer.1.rotate");
    double[][] w = rows(last, "layer.1.source.weight");
    double[][] b = rows(last, "layer.1.source.bias");
    try (var base = Decoder.load(run.model())) {
      var before = new Seen(1);
      outputs(base, List.of(before));
      var after = new Seen(1);
      var reft = ReftDecoder.load(base, last);
      outputs(reft.decoder(), List.of(after));
      for (int t = 0; t < IDS.length; t++) {
        var expected = new double[WIDTH];
        for (int j = 0; j < WIDTH; j++) {
          expected[j] = before.states[t * WIDTH + j];
        }
        for (int k = 0; k < RANK; k++) {
          double off = b[k][0];
          for (int j = 0; j < WIDTH; j++) {
            off += (w[k][j] - r[k][j]) * before.states[t * WIDTH + j];
          }
          for (int j = 0; j < WIDTH; j++) {
            expected[j] += off * r[k][j];
          }
        }
        for (int j = 0; j < WIDTH; j++) {
          assertEquals(expected[j], after.states[t * WIDTH + j], 1e-5);
        }
      }
    }
  }

  private static final class Seen implements Tap {
    private final int slot;
    private float[] states;

    Seen(int slot) {
      this.slot = slot;
    }

    @Override
    public boolean wants(Site site) {
      return site.equals(Site.residual(slot));
    }

    @Override
    public Tensor at(Site site, Tensor hidden) {
      states = Tensors.floats(hidden);
      return hidden;
    }
  }

  private static double[][] rows(Path checkpoint, String name) {
    try (var file = Safetensors.open(checkpoint.resolve("reft_model.safetensors"))) {
      var tensor = file.get(name);
      int rows = (int) tensor.sizes()[0];
      int columns = tensor.sizes().length == 1 ? 1 : (int) tensor.sizes()[1];
      var values = new double[rows][columns];
      for (int i = 0; i < rows * columns; i++) {
        values[i / columns][i % columns] =
            tensor.data().get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4L * i);
      }
      return values;
    }
  }

  private static void assertOrthonormal(double[][] rows) {
    for (int a = 0; a < rows.length; a++) {
      for (int b = 0; b < rows.length; b++) {
        double dot = 0;
        for (int j = 0; j < WIDTH; j++) {
          dot += rows[a][j] * rows[b][j];
        }
        assertEquals(a == b ? 1 : 0, dot, 1e-5);
      }
    }
  }

  @Test
  void rowsAreOrthonormalAfterEveryStepAndMove() {
    var checkpoints = train("free");
    double[][] first = rows(checkpoints.resolve("step-1"), "layer.1.rotate");
    for (int step = 1; step <= STEPS; step++) {
      assertOrthonormal(rows(checkpoints.resolve("step-" + step), "layer.1.rotate"));
    }
    double[][] last = rows(checkpoints.resolve("step-" + STEPS), "layer.1.rotate");
    double turned = 0;
    for (int k = 0; k < RANK; k++) {
      for (int j = 0; j < WIDTH; j++) {
        turned += Math.abs(last[k][j] - first[k][j]);
      }
    }
    assertTrue(turned > 0.01, "" + turned);
  }

  private Path basis() {
    var bases = new TreeMap<Integer, double[][]>();
    var vectors = Basis.random(WIDTH, SAFE, 1).vectors();
    var columns = new double[WIDTH][SAFE];
    for (int i = 0; i < WIDTH; i++) {
      for (int k = 0; k < SAFE; k++) {
        columns[i][k] = vectors[k][i];
      }
    }
    bases.put(1, columns);
    var file = folder.resolve("basis.safetensors");
    try (var files = ModelFolder.open(run.model());
        var subspace = new SafetySubspace(bases, new TreeMap<>(Map.of(1, 1.0)), files.hash())) {
      subspace.save(file, Map.of());
    }
    return file;
  }

  @Test
  void underAHardConstraintRowsStayOutOfTheSubspace() {
    var checkpoints =
        train("hard", "guard.subspace.constraint=hard", "guard.subspace.basis=" + basis());
    var safety = Basis.random(WIDTH, SAFE, 1);
    for (int step = 1; step <= STEPS; step++) {
      double[][] r = rows(checkpoints.resolve("step-" + step), "layer.1.rotate");
      assertOrthonormal(r);
      assertEquals(0, safety.share(r), 1e-10, "after step " + step);
      // The other slot is not guarded.
      double[][] free = rows(checkpoints.resolve("step-" + step), "layer.2.rotate");
      assertTrue(safety.share(free) > 1e-3);
    }
    var last = checkpoints.resolve("step-" + STEPS);
    try (var base = Decoder.load(run.model())) {
      var before = new Seen(1);
      outputs(base, List.of(before));
      var after = new Seen(1);
      var reft = ReftDecoder.load(base, last);
      outputs(reft.decoder(), List.of(after));
      var moved = new double[IDS.length][WIDTH];
      double all = 0;
      for (int i = 0; i < IDS.length * WIDTH; i++) {
        moved[i / WIDTH][i % WIDTH] = after.states[i] - before.states[i];
        all += Math.abs(after.states[i] - before.states[i]);
      }
      assertTrue(all > 1e-3, "it has learnt something");
      assertEquals(0, safety.share(moved), 1e-8, "but moves nothing inside the subspace");
    }
  }

  @Test
  void aResumedRunIsThatOfOneGo() {
    var whole = train("whole");
    // The same configuration, stopped after two steps, is what resume goes on from.
    var half = train("half");
    delete(half.resolve("step-3"));
    delete(half.resolve("step-4"));
    TinyRun.resume(
        run.config(
            "half",
            "steps=" + STEPS,
            "schedule.warmup_steps=0",
            "checkpoint.every=1",
            "checkpoint.keep=10",
            "tune.reft.rank=" + RANK,
            "tune.reft.layers=[1, 2]"));
    assertEquals(
        TinyRun.bits(whole.resolve("step-4/reft_model.safetensors")),
        TinyRun.bits(half.resolve("step-4/reft_model.safetensors")));
  }

  private static void delete(Path checkpoint) {
    io.holdfast.checkpoint.AtomicFolder.delete(checkpoint);
  }

  @Test
  void activationCheckpointingTrainsTheSame() {
    var kept = train("kept").resolve("step-4/reft_model.safetensors");
    var again =
        train("again", "activation_checkpointing=true").resolve("step-4/reft_model.safetensors");
    assertEquals(TinyRun.bits(kept), TinyRun.bits(again));
  }

  @Test
  void aSlotThatIsNotThereIsAnError() {
    var error = assertThrows(HoldfastException.class, () -> train("none", "tune.reft.layers=[3]"));
    assertEquals(ExitCode.USAGE, error.exitCode());
    assertTrue(error.getMessage().contains("slots 0 to 2"), error.getMessage());
  }
}
