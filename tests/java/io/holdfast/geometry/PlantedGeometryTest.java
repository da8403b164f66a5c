package io.holdfast.geometry;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** On geometry with known carriers and angles every measure equals its closed form. */
class PlantedGeometryTest {
  private static final int D = 24;
  private static final double CLOSED_FORM = 1e-9;

  @ParameterizedTest
  @ValueSource(doubles = {0, 0.3, Math.PI / 4, 1.2, Math.PI / 2})
  void couplingOfCarriersAtAKnownAngle(double angle) {
    var base = Planted.noise(30, D, 1, 1);
    var h = Planted.axis(D, 0, 3);
    var r = Planted.axis(D, 0, 2 * Math.cos(angle));
    r[1] = 2 * Math.sin(angle);
    var harm = Carrier.between(Planted.moved(base, h), base);
    var refusal = Carrier.between(Planted.moved(base, r), base);
    assertEquals(3, harm.norm(), CLOSED_FORM);
    assertEquals(Math.cos(angle), harm.cosine(refusal), CLOSED_FORM);

    // Second directions at another known angle, in planes of their own.
    double second = 0.7;
    var u = Basis.span(List.of(h, Planted.axis(D, 2, 1)));
    var tilted = Planted.axis(D, 2, Math.cos(second));
    tilted[3] = Math.sin(second);
    var v = Basis.span(List.of(r, tilted));
    double overlap = (sq(Math.cos(angle)) + sq(Math.cos(second))) / 2;
    var coupling = Coupling.of(harm, refusal, u, v, 10, 7);
    assertEquals(Math.abs(Math.cos(angle)), coupling.cosine(), CLOSED_FORM);
    assertEquals(overlap, coupling.overlap(), CLOSED_FORM);
    assertEquals(Math.exp(-0.75), coupling.layers(), CLOSED_FORM);
    assertEquals(
        0.4 * Math.cos(angle) + 0.4 * overlap + 0.2 * Math.exp(-0.75),
        coupling.hrci(),
        CLOSED_FORM);
    assertEquals((Math.cos(angle) + overlap) / 2, coupling.hrciRepresentation(), CLOSED_FORM);

    var angles = PrincipalAngles.between(u, v);
    double small = Math.min(angle, second);
    double large = Math.max(angle, second);
    assertArrayEquals(new double[] {small, large}, angles.angles(), 1e-7);
    assertEquals(Math.hypot(small, large), angles.grassmann(), 1e-7);
    assertEquals(Math.hypot(Math.sin(small), Math.sin(large)), angles.chordal(), 1e-7);
    assertEquals(large, angles.largest(), 1e-7);
  }

  @Test
  void angleOfACarrierToItselfAndItsOpposite() {
    var base = Planted.noise(10, D, 1, 2);
    var there = Carrier.between(Planted.moved(base, Planted.axis(D, 4, 2)), base);
    var back = Carrier.between(base, Planted.moved(base, Planted.axis(D, 4, 2)));
    assertEquals(1, there.cosine(there), CLOSED_FORM);
    assertEquals(-1, there.cosine(back), CLOSED_FORM);
  }

  @Test
  void leadingPutsTheMeanFirstAndThenTheWidestSpread() {
    var rows = new double[40][D];
    for (int i = 0; i < 40; i++) {
      rows[i][5] = 10;
      rows[i][6] = (i % 2 == 0 ? 1 : -1) * 4;
      rows[i][7] = (i % 4 < 2 ? 1 : -1) * 2;
    }
    var basis = Basis.leading(List.of(Vectors.mean(rows)), rows, 3);
    assertEquals(3, basis.rank());
    for (int i = 0; i < 3; i++) {
      assertEquals(1, Math.abs(basis.vectors()[i][5 + i]), CLOSED_FORM, "vector " + i);
    }
    assertEquals(3, Basis.leading(List.of(Vectors.mean(rows)), rows, 9).rank(), "all there is");
  }

  @Test
  void projectionAndRejectionAddUpAndAreOrthogonal() {
    var basis = Basis.random(D, 5, 3);
    double[] x = Planted.noise(1, D, 1, 4)[0];
    double[] inside = basis.project(x);
    double[] outside = basis.reject(x);
    assertEquals(0, Vectors.dot(inside, outside), CLOSED_FORM);
    for (int i = 0; i < D; i++) {
      assertEquals(x[i], inside[i] + outside[i], CLOSED_FORM);
    }
    assertEquals(
        Vectors.dot(inside, inside) / Vectors.dot(x, x),
        basis.share(new double[][] {x}),
        CLOSED_FORM);
  }

  @Test
  void driftOfAKnownMovement() {
    var before = Planted.moved(Planted.noise(20, D, 0.1, 5), Planted.axis(D, 0, 5));
    var movement = Planted.axis(D, 1, 3);
    movement[2] = 4;
    var after = Planted.moved(before, movement);
    var origin = new double[][] {new double[D]};
    var was = new Contrast(new double[][] {Planted.axis(D, 0, 2)}, origin);
    // Two rays beside the diagonal, whose mean is (3, 3).
    double half = 0.3;
    var rays = new double[2][D];
    for (int i = 0; i < 2; i++) {
      double angle = Math.PI / 4 + (i == 0 ? half : -half);
      rays[i][0] = 3 * Math.sqrt(2) / Math.cos(half) * Math.cos(angle);
      rays[i][1] = 3 * Math.sqrt(2) / Math.cos(half) * Math.sin(angle);
    }
    var is = new Contrast(rays, origin);
    var drift = Drift.of(was, is, before, after, Basis.span(List.of(Planted.axis(D, 1, 1))));
    assertEquals(1 - Math.sqrt(0.5), drift.direction(), CLOSED_FORM);
    assertEquals(Math.log(3 * Math.sqrt(2) / 2), drift.magnitude(), CLOSED_FORM);
    assertEquals(9.0 / 25, drift.safetyShare(), CLOSED_FORM);
    assertEquals(Math.PI / 4, drift.axis(), 1e-7);
    assertEquals(half, drift.aperture(), 1e-7);
    assertEquals(1.0 / D, drift.chance(), CLOSED_FORM);
    double relative = 0;
    for (double[] row : before) {
      relative += 5 / Vectors.norm(row) / before.length;
    }
    assertEquals(relative, drift.relative(), CLOSED_FORM);
    var still = Drift.of(was, was, before, before, Basis.random(D, 2, 1));
    assertEquals(0, still.direction(), CLOSED_FORM);
    assertTrue(Double.isNaN(still.safetyShare()), "nothing moved: there is no share");
  }

  @Test
  void aConeOfRaysAtOneAngle() {
    double half = 0.4;
    var rays = new double[36][D];
    for (int i = 0; i < rays.length; i++) {
      double around = 2 * Math.PI * i / rays.length;
      double length = 1 + i % 5;
      rays[i][0] = length * Math.cos(half);
      rays[i][1] = length * Math.sin(half) * Math.cos(around);
      rays[i][2] = length * Math.sin(half) * Math.sin(around);
    }
    var apex = Planted.axis(D, 9, 7);
    var cone = Cone.of(Planted.moved(rays, apex), new double[][] {apex});
    assertEquals(1, cone.axis()[0], CLOSED_FORM);
    assertEquals(half, cone.aperture(), CLOSED_FORM);
    assertEquals(half, cone.aperture95(), CLOSED_FORM);
    assertEquals(Math.cos(half), cone.concentration(), CLOSED_FORM);
    var turned = new Cone(Planted.axis(D, 1, 1), 0, 0, 1);
    assertEquals(Math.PI / 2, cone.axisDrift(turned), 1e-7);
  }

  @Test
  void spectrumOfKnownSingularValues() {
    var rows = new double[3][D];
    rows[0][0] = 3;
    rows[1][1] = 2;
    rows[2][2] = 1;
    var spectrum = Spectrum.of(rows);
    assertArrayEquals(new double[] {9 / 14.0, 4 / 14.0, 1 / 14.0}, spectrum.shares(), CLOSED_FORM);
    double entropy = 0;
    for (double p : new double[] {9 / 14.0, 4 / 14.0, 1 / 14.0}) {
      entropy -= p * Math.log(p);
    }
    assertEquals(Math.exp(entropy), spectrum.effectiveRank(), CLOSED_FORM);
    assertEquals(14 * 14 / (81.0 + 16 + 1), spectrum.participationRatio(), CLOSED_FORM);
    assertEquals(1, spectrum.rankFor(0.6));
    assertEquals(2, spectrum.rankFor(13 / 14.0));
    assertEquals(3, spectrum.rankFor(1));
  }

  @Test
  void classesThatCannotGiveACarrierAreRefused() {
    var rows = Planted.noise(3, D, 1, 6);
    assertThrows(IllegalArgumentException.class, () -> Carrier.between(new double[0][], rows));
    assertThrows(IllegalArgumentException.class, () -> Carrier.between(rows, new double[0][]));
    assertThrows(IllegalStateException.class, () -> Carrier.between(rows, rows).unit());
    var broken = Planted.noise(3, D, 1, 7);
    broken[1][2] = Double.NaN;
    assertThrows(IllegalArgumentException.class, () -> Carrier.between(broken, rows));
  }

  private static double sq(double x) {
    return x * x;
  }
}
