package io.holdfast.train;

import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * R2D2's test cases: which request each is about, and the tokens of its string. They live in one
 * tensor, so that a checkpoint has them as they are.
 */
final class TestCasePool implements AutoCloseable {
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

  private final TensorOwner owner = new TensorOwner();
  private final Tensor slots;
  private final int cases;
  private final List<int[]> beginnings;
  private final long seed;

  /** A test case: the number of its request, and the string behind it. */
  record TestCase(int request, int[] string) {}

  /**
   * A pool of fresh test cases.
   *
   * @param cases requests to draw from
   * @param beginnings strings to begin with
   */
  TestCasePool(int size, int cases, List<int[]> beginnings, long seed) {
    this.cases = cases;
    this.beginnings = beginnings;
    this.seed = seed;
    int width = beginnings.stream().mapToInt(string -> string.length).max().orElseThrow();
    this.slots = owner.own(Tensors.emptyOnHost(ScalarType.Long, size, 2 + width));
    slots.zero_();
    var random = random(-1);
    IntStream.range(0, size).forEach(i -> begin(i, random));
  }

  /** int64 {@code [size, 2 + longest string]}: the request, the string's length, its tokens. */
  Tensor tensor() {
    return slots;
  }

  private long width() {
    return slots.size(1);
  }

  int size() {
    return Math.toIntExact(slots.size(0));
  }

  TestCase get(int slot) {
    var row = row(slot);
    int length = Math.toIntExact(row.getAtIndex(LONG, 1));
    int[] string =
        IntStream.range(0, length).map(t -> (int) row.getAtIndex(LONG, 2L + t)).toArray();
    return new TestCase(Math.toIntExact(row.getAtIndex(LONG, 0)), string);
  }

  void put(int slot, TestCase testCase) {
    var row = row(slot);
    row.fill((byte) 0);
    row.setAtIndex(LONG, 0, testCase.request());
    row.setAtIndex(LONG, 1, testCase.string().length);
    for (int t = 0; t < testCase.string().length; t++) {
      row.setAtIndex(LONG, 2L + t, testCase.string()[t]);
    }
  }

  private MemorySegment row(int slot) {
    long bytes = width() * Long.BYTES;
    return Tensors.memory(slots).asSlice(slot * bytes, bytes);
  }

  /** Different slots for a step: a function of the seed and the step alone. */
  List<Integer> draw(long step, int count) {
    return drawn(random(2 * step), count);
  }

  /** Begins a share of the slots anew, with other requests. */
  void reset(long step, double share) {
    var random = random(2 * step + 1);
    drawn(random, (int) Math.round(share * size())).forEach(slot -> begin(slot, random));
  }

  private List<Integer> drawn(SplittableRandom random, int count) {
    var all = new ArrayList<>(IntStream.range(0, size()).boxed().toList());
    Collections.shuffle(all, Random.from(random));
    return all.subList(0, count);
  }

  private void begin(int slot, SplittableRandom random) {
    put(
        slot,
        new TestCase(random.nextInt(cases), beginnings.get(random.nextInt(beginnings.size()))));
  }

  private SplittableRandom random(long draw) {
    long mixed = new SplittableRandom(seed).nextLong();
    return new SplittableRandom(new SplittableRandom(mixed + draw).nextLong());
  }

  @Override
  public void close() {
    owner.close();
  }
}
