package io.holdfast.text.jinja;

import java.util.List;
import java.util.Optional;

/**
 * What a template wrote.
 *
 * @param generated what it marks as said by the assistant ({@code {% generation %}}), in order;
 *     absent where the template has no such marks
 */
public record Rendered(String text, Optional<List<Span>> generated) {}
