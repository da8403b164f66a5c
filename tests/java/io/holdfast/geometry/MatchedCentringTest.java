package io.holdfast.geometry;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** A stream to which each block adds what it adds, whatever was changed before it. */
class MatchedCentringTest {
  private static final int D = 12;
  private static final int SLOTS = 4;

  private final TreeMap<Integer, Basis> subspaces = new TreeMap<>();
  private final TreeMap<Integer, Basis> written = new TreeMap<>();
  private final TreeMap<Integer, double[][]> centres = new TreeMap<>();

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  /** Centred directions that turn from slot to slot, and one random subspace to write along. */
  private void plant(int rank, int tokens) {
    for (int slot = 1; slot <= SLOTS; slot++) {
      subspaces.put(slot, Basis.random(D, rank, slot));
      written.put(slot, Basis.random(D, rank, 99));
      centres.put(slot, Planted.noise(tokens, D, 1, 20 + slot));
    }
  }

  private static double[][] added(int slot, int time) {
    return Planted.noise(time, D, 1, 30 + slot);
  }

  /** States {@code [time][d]} after the last slot. */
  private static double[][] through(Tap tap, int time) {
    try (var scope = Scope.open()) {
      var hidden = Tensors.of(new double[time][D]).to(ScalarType.Float).unsqueeze(0);
      for (int slot = 1; slot <= SLOTS; slot++) {
        hidden = hidden.add(Tensors.of(added(slot, time)).to(ScalarType.Float).unsqueeze(0));
        hidden = tap.wants(Site.residual(slot)) ? tap.at(Site.residual(slot), hidden) : hidden;
      }
      double[] flat = Tensors.doubles(hidden);
      return IntStream.range(0, time)
          .mapToObj(t -> Arrays.copyOfRange(flat, t * D, (t + 1) * D))
          .toArray(double[][]::new);
    }
  }

  /** All that centring takes away from one token, slot by slot, goes along other directions. */
  private double[] expected(int token, int time, int reached) {
    var plain = new double[D];
    var centred = new double[D];
    var gone = new double[written.firstEntry().getValue().rank()];
    for (int slot = 1; slot <= SLOTS; slot++) {
      Vectors.add(plain, 1, added(slot, time)[token]);
      Vectors.add(centred, 1, added(slot, time)[token]);
      var subspace = subspaces.get(slot);
      double[] change = subspace.coefficients(Vectors.minus(centred, centres.get(slot)[reached]));
      for (int k = 0; k < change.length; k++) {
        Vectors.add(centred, -change[k], subspace.vectors()[k]);
        gone[k] += change[k];
      }
    }
    for (int k = 0; k < gone.length; k++) {
      Vectors.add(plain, -gone[k], written.firstEntry().getValue().vectors()[k]);
    }
    return plain;
  }

  @Test
  void whatCentringTakesIsTakenElsewhere() {
    plant(2, 1);
    var control = new MatchedCentring(subspaces, written, centres, Reach.ALL);
    double[][] found = through(control, 5);
    for (int t = 0; t < 5; t++) {
      assertArrayEquals(expected(t, 5, 0), found[t], 1e-5);
    }
    // Another pass, of another length, begins anew.
    assertArrayEquals(expected(0, 1, 0), through(control, 1)[0], 1e-5);
    assertArrayEquals(found[4], through(control, 5)[4], 0);
  }

  @Test
  void tokensThatAreNotReachedStay() {
    plant(1, 2);
    var reach = new Reach(Reach.Tokens.TEMPLATE, 2);
    double[][] found = through(new MatchedCentring(subspaces, written, centres, reach), 5);
    double[][] untouched = through(new Intervention(Map.of(), Reach.ALL), 5);
    for (int t = 0; t < 5; t++) {
      assertArrayEquals(t < 3 ? untouched[t] : expected(t, 5, t - 3), found[t], 1e-5);
    }
  }

  /** Written where it is read, it is centring itself. */
  @Test
  void alongTheSameDirectionsItIsCentring() {
    plant(3, 1);
    double[][] real = through(Intervention.centring(subspaces, centres, Reach.ALL), 3);
    double[][] same = through(new MatchedCentring(subspaces, subspaces, centres, Reach.ALL), 3);
    for (int t = 0; t < 3; t++) {
      assertArrayEquals(real[t], same[t], 1e-5);
    }
  }
}
