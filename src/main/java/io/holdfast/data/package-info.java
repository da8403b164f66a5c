/** Data sets in their public formats, as examples, and examples as batches. */
package io.holdfast.data;
