/** The decoder: one transformer for the families that an {@code Architecture} describes. */
package io.holdfast.model;
