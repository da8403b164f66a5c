package io.holdfast.geometry;

import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.bytedeco.pytorch.StringViewOptional;
import org.bytedeco.pytorch.global.torch;

/**
 * An orthonormal basis of a subspace of the residual stream.
 *
 * @param vectors {@code [k][d]}: k unit vectors, each orthogonal to the others
 */
public record Basis(double[][] vectors) {
  /** A direction counts as new if this share of its length lies outside what is spanned. */
  private static final double NEW = 1e-6;

  /** Dimension k of the subspace. */
  public int rank() {
    return vectors.length;
  }

  /** Dimension d of the space around it. */
  public int width() {
    return vectors[0].length;
  }

  /**
   * The span of directions, in their order (Gram-Schmidt); a direction that those before it span
   * adds nothing.
   */
  public static Basis span(List<double[]> directions) {
    var vectors = new double[directions.size()][];
    int found = 0;
    for (double[] direction : directions) {
      double[] rest = outside(direction, vectors, found);
      if (rest != null) {
        vectors[found++] = rest;
      }
    }
    if (found == 0) {
      throw new IllegalArgumentException("no direction is other than zero");
    }
    return new Basis(Arrays.copyOf(vectors, found));
  }

  /**
   * First the span of leading directions, then the directions in which the differences spread most
   * outside it: the left singular vectors of the {@code d x n} matrix of differences, not centred,
   * with the mean direction placed first.
   *
   * @param leading directions that come first, such as the mean difference
   * @param differences {@code [n][d]}
   * @return at most {@code rank} vectors; fewer where everything together spans fewer
   */
  public static Basis leading(List<double[]> leading, double[][] differences, int rank) {
    var first = span(leading);
    if (first.rank() >= rank) {
      return new Basis(Arrays.copyOf(first.vectors, rank));
    }
    var rest = new double[differences.length][];
    for (int i = 0; i < rest.length; i++) {
      rest[i] = first.reject(differences[i]);
    }
    var directions = new ArrayList<>(List.of(first.vectors));
    directions.addAll(rightSingularVectors(rest, rank - first.rank()));
    return span(directions);
  }

  /** Random directions, uniform over all subspaces: the control for any basis that was fitted. */
  public static Basis random(int width, int rank, long seed) {
    var random = new SplittableRandom(seed);
    var directions = new double[rank][width];
    for (double[] direction : directions) {
      for (int i = 0; i < width; i++) {
        direction[i] = random.nextGaussian();
      }
    }
    return span(List.of(directions));
  }

  /** The part of a vector inside the subspace, {@code U U^T x}. */
  public double[] project(double[] x) {
    var inside = new double[x.length];
    for (double[] vector : vectors) {
      Vectors.add(inside, Vectors.dot(x, vector), vector);
    }
    return inside;
  }

  /** The span of the first directions; all of it where there are no more. */
  public Basis first(int rank) {
    return new Basis(Arrays.copyOf(vectors, Math.min(rank, vectors.length)));
  }

  /** Where a vector stands inside the subspace, {@code U^T x}. */
  public double[] coefficients(double[] x) {
    return Arrays.stream(vectors).mapToDouble(vector -> Vectors.dot(x, vector)).toArray();
  }

  /** The part of a vector outside the subspace. */
  public double[] reject(double[] x) {
    return Vectors.minus(x, project(x));
  }

  /**
   * The share of the squared length of vectors that lies inside: {@code sum |U^T x|^2 / sum |x|^2}.
   * For directions without regard to the subspace it is k/d on average.
   */
  public double share(double[][] rows) {
    double inside = 0;
    double all = 0;
    for (double[] row : rows) {
      for (double[] vector : vectors) {
        double along = Vectors.dot(row, vector);
        inside += along * along;
      }
      all += Vectors.dot(row, row);
    }
    return inside / all;
  }

  /** The same for each direction: its share of the squared length of all vectors. */
  public double[] shares(double[][] rows) {
    double all = Arrays.stream(rows).mapToDouble(row -> Vectors.dot(row, row)).sum();
    return Arrays.stream(vectors)
        .mapToDouble(
            vector ->
                Arrays.stream(rows)
                        .mapToDouble(row -> Vectors.dot(row, vector))
                        .map(along -> along * along)
                        .sum()
                    / all)
        .toArray();
  }

  /** Twice, because once loses digits where little is left. */
  private static double[] outside(double[] direction, double[][] vectors, int count) {
    double before = Vectors.norm(direction);
    var rest = direction.clone();
    for (int pass = 0; pass < 2; pass++) {
      for (int i = 0; i < count; i++) {
        Vectors.add(rest, -Vectors.dot(rest, vectors[i]), vectors[i]);
      }
    }
    double length = Vectors.norm(rest);
    return length > NEW * before ? Vectors.scaled(rest, 1 / length) : null;
  }

  /**
   * The directions of the largest singular values of {@code [n][d]} rows; zero ones are left out.
   */
  private static List<double[]> rightSingularVectors(double[][] rows, int count) {
    try (var scope = Scope.open()) {
      var decomposed = torch.linalg_svd(Tensors.of(rows), false, new StringViewOptional());
      double[] values = Tensors.doubles(decomposed.get1());
      double[] vectors = Tensors.doubles(decomposed.get2());
      int width = rows[0].length;
      var found = new ArrayList<double[]>();
      for (int i = 0; i < Math.min(count, values.length) && values[i] > NEW * values[0]; i++) {
        found.add(Arrays.copyOfRange(vectors, i * width, (i + 1) * width));
      }
      return found;
    }
  }
}
