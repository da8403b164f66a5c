package io.holdfast.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.geometry.Basis;
import java.util.Random;
import java.util.SequencedMap;
import org.junit.jupiter.api.Test;

/** The figures of a drift report where it is known what moved. */
class RepresentationDriftTest {
  private static final int PROMPTS = 40;
  private static final int WIDTH = 12;
  private static final double[][] HARMFUL = cloud(1, 5);
  private static final double[][] BENIGN = cloud(2, 0);

  /** The safety subspace: the first two axes, of which the first carries harm. */
  private static final Basis SAFETY = new Basis(new double[][] {axis(0, 1), axis(1, 1)});

  private static double[] axis(int i, double length) {
    var axis = new double[WIDTH];
    axis[i] = length;
    return axis;
  }

  private static double[][] cloud(long seed, double harm) {
    var random = new Random(seed);
    var rows = new double[PROMPTS][WIDTH];
    for (double[] row : rows) {
      for (int j = 0; j < WIDTH; j++) {
        row[j] = random.nextGaussian();
      }
      row[0] += harm;
    }
    return rows;
  }

  private static double[][] plus(double[][] rows, double[] shift) {
    var moved = new double[rows.length][];
    for (int i = 0; i < rows.length; i++) {
      moved[i] = rows[i].clone();
      for (int j = 0; j < WIDTH; j++) {
        moved[i][j] += shift[j];
      }
    }
    return moved;
  }

  private static SequencedMap<String, Double> figures(double[][] harmful, double[][] benign) {
    return RepresentationDrift.figures(HARMFUL, BENIGN, harmful, benign, SAFETY);
  }

  @Test
  void whatStaysHasNotMoved() {
    var figures = figures(HARMFUL, BENIGN);
    for (var name :
        new String[] {
          "direction", "magnitude", "relative", "cone_axis", "cone_aperture", "distortion"
        }) {
      assertEquals(0, figures.get(name), 1e-7, name);
    }
    assertEquals(1, figures.get("cka"), 1e-12);
    assertEquals(0, figures.get("procrustes"), 1e-9);
    assertTrue(figures.get("safety_share").isNaN(), "of nothing there is no share");
    assertEquals(2.0 / WIDTH, figures.get("safety_chance"));
  }

  /** The carrier is 5 long: 5 more of it double it, and all of the movement is safety's. */
  @Test
  void harmThatMovesAlongItsCarrier() {
    var figures = figures(plus(HARMFUL, axis(0, 5)), BENIGN);
    assertEquals(1, figures.get("safety_share"), 1e-12);
    assertEquals(Math.log(2), figures.get("magnitude"), 0.1);
    assertEquals(0, figures.get("direction"), 0.02);
    assertTrue(figures.get("separation") > figures(HARMFUL, BENIGN).get("separation"));
    assertTrue(figures.get("cone_aperture") < 0, "farther away, the cone is narrower");
  }

  /** As far again at a right angle: the direction turns by 45 degrees, outside the subspace. */
  @Test
  void harmThatTurnsOutOfTheSubspace() {
    var figures = figures(plus(HARMFUL, axis(7, 5)), BENIGN);
    assertEquals(0, figures.get("safety_share"), 1e-12);
    assertEquals(1 - Math.sqrt(0.5), figures.get("direction"), 0.06);
    assertEquals(Math.PI / 4, figures.get("cone_axis"), 0.1);
    assertEquals(0, figures.get("distortion"), 1e-12);
  }

  /** Mirrored inside the subspace about nothing: similarity is kept, the carrier is reversed. */
  @Test
  void aReflectionIsNoDissimilarity() {
    var figures = figures(mirrored(HARMFUL), mirrored(BENIGN));
    assertEquals(1, figures.get("cka"), 1e-10);
    assertEquals(0, figures.get("procrustes"), 1e-9);
    assertTrue(figures.get("direction") > 1.5, "" + figures.get("direction"));
  }

  private static double[][] mirrored(double[][] rows) {
    var mirrored = new double[rows.length][];
    for (int i = 0; i < rows.length; i++) {
      mirrored[i] = rows[i].clone();
      mirrored[i][0] = -mirrored[i][0];
    }
    return mirrored;
  }

  @Test
  void harmThatIsGoneSeparatesNothing() {
    var figures = figures(plus(HARMFUL, axis(0, -5)), BENIGN);
    assertTrue(figures.get("separation") < 0.1, "" + figures.get("separation"));
    assertTrue(figures.get("distortion") > 0.3, "" + figures.get("distortion"));
  }
}
