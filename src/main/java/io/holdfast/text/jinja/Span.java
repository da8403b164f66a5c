package io.holdfast.text.jinja;

/** Code points {@code from} (inclusive) to {@code to} (exclusive) of a text. */
public record Span(int from, int to) {}
