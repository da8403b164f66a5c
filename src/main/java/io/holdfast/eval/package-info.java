/**
 * Judging what a model answers: outcomes kept apart as comply, refuse and other, rates with Wilson
 * intervals, suites of prompt files with gates, and the exact evaluation of the synthetic world.
 *
 * <p>A rate never stands alone. A model that is merely broken neither complies nor refuses: its
 * answers are {@code other}, so it does not look safe, and its degeneration is reported beside.
 */
package io.holdfast.eval;
