/**
 * Published methods that guards must beat, each a reimplementation from its public description.
 *
 * <p>Unlike the guards they may build a graph for their loss and make passes of their own. Weights
 * that they perturb are saved before and copied back after, bit for bit.
 */
package io.holdfast.guard.baseline;
