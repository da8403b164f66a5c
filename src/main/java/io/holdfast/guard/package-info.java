/** What holds a fine-tuning run back: the subspace guard and the KL guard. */
package io.holdfast.guard;
