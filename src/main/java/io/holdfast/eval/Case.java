package io.holdfast.eval;

import java.util.Map;
import java.util.Optional;

/**
 * A prompt with what is known about its right answer.
 *
 * @param reference a right answer, where there is one
 * @param fields the row's other text fields, for judges that need them
 */
public record Case(Prompt prompt, Optional<String> reference, Map<String, String> fields) {}
