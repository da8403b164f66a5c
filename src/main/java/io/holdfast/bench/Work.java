package io.holdfast.bench;

import io.holdfast.kernels.DType;

/**
 * A kernel's call beside the same mathematics in LibTorch's operations.
 *
 * @param kernel its name
 * @param dtype of its large matrices
 * @param size in words
 * @param bytes that its formula must read and write: what cannot stay in cache, once
 * @param operations of its formula in floating point
 * @param ours the kernel's call
 * @param libTorch the other
 */
record Work(
    String kernel,
    DType dtype,
    String size,
    double bytes,
    double operations,
    Runnable ours,
    Runnable libTorch) {}
