package io.holdfast.bench;

import io.holdfast.kernels.DType;
import java.util.List;

/**
 * What is measured.
 *
 * @param dtypes of the large matrices
 * @param rows of hidden states
 * @param d their width
 * @param ranks of the subspace
 * @param logits rows of logits
 * @param vocabulary their width
 * @param tensors of the optimizer's step: how many, and elements of each
 * @param copied bytes of the copy that gives the bandwidth
 * @param product that gives the rate of arithmetic
 * @param budget seconds for each measurement
 */
public record Sizes(
    List<DType> dtypes,
    long rows,
    long d,
    List<Long> ranks,
    long logits,
    long vocabulary,
    List<Tensors> tensors,
    long copied,
    Product product,
    double budget) {
  /** Some tensors of a size. */
  public record Tensors(int count, long elements) {}

  /** A product of two square matrices. */
  public record Product(DType dtype, long side) {}

  private static final List<DType> DTYPES = List.of(DType.FLOAT32, DType.BFLOAT16, DType.FLOAT16);

  /** The sizes of a model with 8 billion parameters, a few minutes on two cores. */
  public static Sizes full() {
    return new Sizes(
        DTYPES,
        4096,
        4096,
        List.of(1L, 8L, 16L, 64L),
        256,
        128_256,
        List.of(new Tensors(1, 1 << 25), new Tensors(448, 1 << 16)),
        128L << 20,
        new Product(DType.FLOAT32, 1536),
        0.5);
  }

  /** The same model on a GPU: several times its caches, and the rate of its tensor cores. */
  public static Sizes gpu() {
    return new Sizes(
        DTYPES,
        65_536,
        4096,
        List.of(1L, 8L, 16L, 64L),
        2048,
        128_256,
        List.of(new Tensors(1, 1 << 28), new Tensors(448, 1 << 18)),
        2L << 30,
        new Product(DType.BFLOAT16, 8192),
        0.2);
  }

  /** Small ones, to see that all runs; most of them fit into caches. */
  public static Sizes quick() {
    return new Sizes(
        DTYPES,
        256,
        512,
        List.of(8L, 16L),
        8,
        8192,
        List.of(new Tensors(16, 4096)),
        1 << 22,
        new Product(DType.FLOAT32, 256),
        0.01);
  }
}
