package io.holdfast.model;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Function;
import java.util.function.IntUnaryOperator;
import java.util.function.ToIntFunction;
import java.util.stream.IntStream;

/**
 * Divides sequences into batches of like length, so that little is padded.
 *
 * @param rows sequences of a batch, at most
 * @param tokens tokens of a batch at most, padding included; a longer sequence goes alone
 * @param window so many batches are read ahead and sorted; their results wait for each other
 * @param kind of a length, never falling as it grows; sequences of two kinds share no batch
 */
public record LengthBatches(int rows, int tokens, int window, IntUnaryOperator kind) {
  private static final int WINDOW = 16;

  /** Any sequences may share a batch. */
  public LengthBatches(int rows, int tokens) {
    this(rows, tokens, WINDOW, length -> 0);
  }

  /** The same limits where sequences of two kinds share no batch. */
  LengthBatches with(IntUnaryOperator newKind) {
    return new LengthBatches(rows, tokens, window, newKind);
  }

  /**
   * The same limits for a model that may turn longer sequences by other rotary frequencies than
   * shorter ones: sequences on either side of that border share no batch.
   */
  public LengthBatches forModel(Architecture architecture) {
    int border = architecture.shortPositions();
    return with(length -> length <= border ? 0 : 1);
  }

  /**
   * Works through any number of items and hands over the results in their order, each as soon as
   * those before it are there.
   *
   * @param length tokens of an item
   * @param work from a batch to as many results
   * @param results is handed each item with its result
   */
  public <T, R> void run(
      Iterator<T> items,
      ToIntFunction<T> length,
      Function<List<T>, List<R>> work,
      BiConsumer<T, R> results) {
    while (items.hasNext()) {
      var ahead = new ArrayList<T>();
      long size = 0;
      while (items.hasNext() && ahead.size() < window * rows && size < (long) window * tokens) {
        ahead.add(items.next());
        size += length.applyAsInt(ahead.getLast());
      }
      var done = new ArrayList<R>(Collections.nCopies(ahead.size(), null));
      int next = 0;
      for (var batch : divide(ahead.stream().mapToInt(length).toArray())) {
        var found = work.apply(batch.stream().map(ahead::get).toList());
        for (int i = 0; i < batch.size(); i++) {
          done.set(batch.get(i), found.get(i));
        }
        for (; next < done.size() && done.get(next) != null; next++) {
          results.accept(ahead.get(next), done.set(next, null));
        }
      }
    }
  }

  /** The indices of each batch, from the shortest sequences to the longest. */
  List<List<Integer>> divide(int[] lengths) {
    var batches = new ArrayList<List<Integer>>();
    var batch = new ArrayList<Integer>();
    var order =
        IntStream.range(0, lengths.length).boxed().sorted(Comparator.comparing(i -> lengths[i]));
    for (int i : (Iterable<Integer>) order::iterator) {
      // Sorted: this one is the longest so far.
      boolean full =
          !batch.isEmpty()
              && (batch.size() == rows
                  || (batch.size() + 1L) * lengths[i] > tokens
                  || kind.applyAsInt(lengths[i]) != kind.applyAsInt(lengths[batch.getLast()]));
      if (full) {
        batches.add(batch);
        batch = new ArrayList<>();
      }
      batch.add(i);
    }
    if (!batch.isEmpty()) {
      batches.add(batch);
    }
    return batches;
  }
}
