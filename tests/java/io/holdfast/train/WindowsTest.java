package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.data.Example;
import io.holdfast.data.Place;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class WindowsTest {
  private static Example example(int length, int number) {
    var place = new Place(Path.of("rows.jsonl"), number);
    return new Example("x", new int[length], new boolean[length], -1, -1, Float.NaN, place);
  }

  private static List<Example> examples(int count) {
    var random = new SplittableRandom(count);
    // Few are long, as in most data.
    return IntStream.range(0, count)
        .mapToObj(i -> example(1 + 400 / (1 + random.nextInt(60)), i))
        .toList();
  }

  @ParameterizedTest
  @CsvSource({
    "1,1,1,true,true",
    "3,2,2,true,true",
    "7,2,1,true,true",
    "13,2,2,true,true",
    "13,2,2,false,true",
    "16,2,2,true,true",
    "64,2,2,true,true",
    "101,4,1,true,true",
    "101,3,5,true,true",
    "101,3,5,true,false",
    "250,8,3,true,true"
  })
  void everyExampleIsSeenOnceInEveryEpoch(
      int count, int batch, int accumulation, boolean shuffle, boolean group) {
    var windows = new Windows(examples(count), batch, accumulation, shuffle, group, 11);
    int size = batch * accumulation;
    var seen = new int[count];
    int epochs = 0;
    for (long step = 0; step < 3L * count; step++) {
      for (int[] numbers : windows.numbers(step)) {
        assertEquals(batch, numbers.length);
        Arrays.stream(numbers).forEach(i -> seen[i]++);
      }
      while ((epochs + 1L) * count <= (step + 1) * size) {
        epochs++;
      }
      // Whatever is seen more often belongs to the epochs that have begun in the same step.
      boolean over = (step * size) / count != ((step + 1) * size - 1) / count;
      if (over || (step + 1) * size % count == 0) {
        int least = Arrays.stream(seen).min().orElseThrow();
        int most = Arrays.stream(seen).max().orElseThrow();
        assertEquals(epochs, least, "step " + step);
        assertTrue(most <= epochs + 1, "step " + step);
      }
    }
    int[] expected = new int[count];
    Arrays.fill(expected, 3 * size);
    assertArrayEquals(expected, seen);
  }

  @ParameterizedTest
  @CsvSource({"101,3,5", "13,2,2", "250,8,1"})
  void aStepIsTheSameWheneverItIsAskedFor(int count, int batch, int accumulation) {
    var examples = examples(count);
    var forwards = new Windows(examples, batch, accumulation, true, true, 5);
    var backwards = new Windows(examples, batch, accumulation, true, true, 5);
    var other = new Windows(examples, batch, accumulation, true, true, 6);
    int different = 0;
    for (int step = 60; step >= 0; step--) {
      var expected = forwards.of(60 - step);
      assertEquals(
          expected, new Windows(examples, batch, accumulation, true, true, 5).of(60 - step));
      assertEquals(forwards.of(step), backwards.of(step));
      different += forwards.of(step).equals(other.of(step)) ? 0 : 1;
    }
    assertTrue(different > 50, different + " of 61 steps differ under another seed");
  }

  @ParameterizedTest
  @CsvSource({"101,3,5", "250,8,1", "1000,8,2"})
  void paddingIsWhatBatchesHaveAndGroupingSavesMostOfIt(int count, int batch, int accumulation) {
    var plain = new Windows(examples(count), batch, accumulation, true, false, 5);
    var grouped = plain.groupedByLength();
    for (var windows : List.of(plain, grouped)) {
      long tokens = 0;
      long positions = 0;
      for (int step = 0; step < windows.stepsPerEpoch(); step++) {
        for (var some : windows.of(step)) {
          var filled = windows.batch(some, 0);
          positions += filled.ids().length;
          tokens += filled.tokens();
        }
      }
      assertEquals(1 - (double) tokens / positions, windows.padding(), 1e-12);
    }
    assertTrue(
        grouped.padding() < 0.6 * plain.padding(),
        "%s became %s".formatted(plain.padding(), grouped.padding()));
    assertEquals(0, Windows.packed(examples(count), 512, batch, accumulation, true, 5).padding());
  }
}
