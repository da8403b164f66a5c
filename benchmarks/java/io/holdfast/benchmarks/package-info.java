/** JMH benchmarks of the kernels; {@code benchmarks/jmh} runs them. */
package io.holdfast.benchmarks;
