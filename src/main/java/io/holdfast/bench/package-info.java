/** Measures the kernels against this machine's own ceilings and against LibTorch. */
package io.holdfast.bench;
