package io.holdfast.geometry;

import java.util.Arrays;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;

/**
 * Prompts by what they ask for and by what became of them: the four cells {harmful, benign} x
 * {refused, complied} that tell harmfulness from refusal, and answers that are neither.
 *
 * @param harmful whether each prompt asks for harm
 * @param replies what each was answered
 */
public record Quadrants(boolean[] harmful, Reply[] replies) {
  /** Fewer prompts than this in a class give no direction that can be trusted. */
  public static final int LEAST = 16;

  /** What an answer did. */
  public enum Reply {
    /** It declined. */
    REFUSED,
    /** It did what was asked. */
    COMPLIED,
    /** Neither: it takes no part in the refusal carrier. */
    OTHER
  }

  /** Checks that every prompt has both labels. */
  public Quadrants {
    if (harmful.length != replies.length) {
      throw new IllegalArgumentException(
          "%d prompts but %d replies".formatted(harmful.length, replies.length));
    }
  }

  /** Number of prompts. */
  public int size() {
    return harmful.length;
  }

  /** Every row. */
  public int[] all() {
    return IntStream.range(0, size()).toArray();
  }

  /** Rows in one cell. */
  public int[] cell(boolean asksForHarm, Reply reply) {
    return rows(all(), i -> harmful[i] == asksForHarm && replies[i] == reply);
  }

  /** Those of some rows, with their repetitions, that ask for harm or do not. */
  int[] asking(int[] rows, boolean forHarm) {
    return rows(rows, i -> harmful[i] == forHarm);
  }

  /** Those of some rows, with their repetitions, that were answered so. */
  int[] answered(int[] rows, Reply reply) {
    return rows(rows, i -> replies[i] == reply);
  }

  /** Whether both refused and answered prompts suffice for a carrier. */
  public boolean tellsRefusal() {
    return answered(all(), Reply.REFUSED).length >= LEAST
        && answered(all(), Reply.COMPLIED).length >= LEAST;
  }

  /** The same prompts with the labels of others in their place: a null that keeps all counts. */
  Quadrants shuffled(int[] order) {
    var asks = new boolean[size()];
    var said = new Reply[size()];
    for (int i = 0; i < size(); i++) {
      asks[i] = harmful[order[i]];
      said[i] = replies[order[i]];
    }
    return new Quadrants(asks, said);
  }

  private static int[] rows(int[] rows, IntPredicate wanted) {
    return Arrays.stream(rows).filter(wanted).toArray();
  }
}
