/** Datasets in their public formats to batches of token ids. */
package io.holdfast.data;
