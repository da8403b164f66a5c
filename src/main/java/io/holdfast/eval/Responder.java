package io.holdfast.eval;

import java.util.List;

/**
 * The model under evaluation: answers prompts, in their order, with new text only. Evaluations hand
 * over all their prompts at once, so that the responder can batch them as it likes.
 */
@FunctionalInterface
public interface Responder {
  List<String> respond(List<Prompt> prompts);
}
