package io.holdfast.kernels;

/** Placeholder so that the interface's Javadoc resolves. */
abstract class ReferenceKernels implements Kernels {}
