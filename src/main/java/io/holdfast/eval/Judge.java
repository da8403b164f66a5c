package io.holdfast.eval;

/** Decides what an answer did with its request. */
@FunctionalInterface
public interface Judge {
  /** Complies when the answer, without blanks around it, is the reference; no answer refuses. */
  Judge EXACT =
      (asked, text) ->
          asked.reference().map(String::strip).filter(text.strip()::equals).isPresent()
              ? Outcome.COMPLY
              : Outcome.OTHER;

  Outcome judge(Case asked, String text);
}
