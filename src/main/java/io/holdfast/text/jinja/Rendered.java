package io.holdfast.text.jinja;

import java.util.List;

/**
 * What a template wrote.
 *
 * @param generated what it marks as said by the assistant ({@code {% generation %}}); empty where
 *     it marks nothing
 */
public record Rendered(String text, List<Span> generated) {}
