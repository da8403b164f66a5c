/** The training loop: fused head, optimizer, schedule, checkpoints and resume. */
package io.holdfast.train;
