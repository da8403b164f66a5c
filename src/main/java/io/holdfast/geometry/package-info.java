/** Safety geometry: where harmfulness and refusal are read in the residual stream. */
package io.holdfast.geometry;
