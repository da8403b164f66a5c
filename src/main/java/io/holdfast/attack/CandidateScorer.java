package io.holdfast.attack;

import io.holdfast.kernels.Kernels;
import io.holdfast.model.Decoder;
import io.holdfast.model.SharedPrefix;
import io.holdfast.torch.ComputeDevice;
import io.holdfast.torch.LibTorch;
import io.holdfast.torch.Threads;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The loss of many strings in the place of one prompt.
 *
 * <p>What comes before the string is read once. Of strings that differ from their parent from some
 * token on, the tokens before that are read once too: candidates go through the model in the order
 * of their first difference, those that share most first. On a CPU batches go side by side in
 * {@linkplain CandidateLane lanes}.
 */
final class CandidateScorer implements AutoCloseable {
  /** Tokens of a batch that keep a core busy and stay in its cache. */
  private static final int LANE_TOKENS = 1024;

  private final Decoder decoder;
  private final AttackPrompt prompt;
  private final int laneTokens;
  private final List<CandidateLane> lanes;
  private int mostRows = Integer.MAX_VALUE;

  /**
   * A scorer.
   *
   * @param batchTokens tokens read at a time, at most; where memory does not suffice for them, half
   *     as many rows are tried, and half of these
   */
  CandidateScorer(
      Decoder decoder, Kernels kernels, AttackPrompt prompt, TargetLoss loss, int batchTokens) {
    this.decoder = decoder;
    this.prompt = prompt;
    boolean cpu = ComputeDevice.current().equals(ComputeDevice.CPU);
    this.laneTokens = cpu ? Math.min(LANE_TOKENS, batchTokens) : batchTokens;
    int count = cpu ? Math.clamp(batchTokens / laneTokens, 1, Threads.get()) : 1;
    this.lanes =
        Stream.generate(() -> new CandidateLane(decoder, kernels, prompt, loss))
            .limit(count)
            .toList();
  }

  /** Whether the model was made for the prompt with a string of some length. */
  boolean fits(int string) {
    return prompt.length(string) <= decoder.architecture().maxPositions();
  }

  /** A candidate, how much of the parent it begins with, and its place in the result. */
  record Row(int index, int[] string, int shared) {}

  /**
   * Losses in the order of the candidates; each string is scored once.
   *
   * @param parent a string that many candidates begin with; may be empty
   */
  double[] losses(int[] parent, List<int[]> candidates) {
    // Draws repeat themselves: of 512 candidates a twentieth, by nanoGCG's defaults.
    var places = new LinkedHashMap<IntBuffer, Integer>();
    candidates.forEach(ids -> places.putIfAbsent(IntBuffer.wrap(ids), places.size()));
    var distinct = places.keySet().stream().map(IntBuffer::array).toList();
    var losses = new double[distinct.size()];
    // Sequences on either side of a border of rotary frequencies do not share a batch.
    int border = decoder.architecture().shortPositions();
    IntStream.range(0, losses.length)
        .boxed()
        .collect(Collectors.partitioningBy(i -> prompt.length(distinct.get(i).length) > border))
        .values()
        .forEach(
            side -> {
              if (!side.isEmpty()) {
                double[] found = retried(parent, side.stream().map(distinct::get).toList());
                IntStream.range(0, found.length).forEach(i -> losses[side.get(i)] = found[i]);
              }
            });
    return candidates.stream()
        .mapToDouble(ids -> losses[places.get(IntBuffer.wrap(ids))])
        .toArray();
  }

  private double[] retried(int[] parent, List<int[]> candidates) {
    while (true) {
      int most =
          Math.min(
              mostRows,
              Math.clamp(laneTokens / Math.max(1, prompt.tail().length), 1, candidates.size()));
      try {
        return attempt(parent, candidates, most);
      } catch (RuntimeException e) {
        if (!LibTorch.outOfMemory(e) || most <= 1) {
          throw e;
        }
        mostRows = most / 2;
        close();
      }
    }
  }

  private double[] attempt(int[] parent, List<int[]> candidates, int most) {
    int tail = prompt.tail().length;
    int candidate = candidates.stream().mapToInt(c -> c.length).max().orElse(0);
    int longest = Math.max(candidate, parent.length) + tail;
    boolean sharing =
        SharedPrefix.possible(
            decoder.architecture(), prompt.before().length, prompt.before().length + longest);
    var rows =
        IntStream.range(0, candidates.size())
            .mapToObj(i -> row(i, parent, candidates.get(i), sharing))
            .sorted(Comparator.comparingInt(Row::shared).reversed())
            .toList();
    var batches = batches(rows, tail, most);
    var losses = new double[candidates.size()];
    var next = new AtomicInteger();
    Threads.share(
        Math.min(lanes.size(), batches.size()),
        number -> {
          var lane = lanes.get(number);
          lane.begin(parent, most, longest, sharing);
          for (int i = next.getAndIncrement(); i < batches.size(); i = next.getAndIncrement()) {
            lane.score(batches.get(i), losses, sharing);
          }
        });
    return losses;
  }

  private Row row(int index, int[] parent, int[] string, boolean sharing) {
    int differs = Arrays.mismatch(parent, string);
    int shared = differs < 0 ? string.length : differs;
    // The state that predicts the first target token must be among those that are computed.
    int most = prompt.after().length == 0 ? string.length - 1 : string.length;
    return new Row(index, string, sharing ? Math.max(0, Math.min(shared, most)) : 0);
  }

  /** Batches of as many rows as a lane holds. */
  private List<List<Row>> batches(List<Row> rows, int tail, int most) {
    var batches = new ArrayList<List<Row>>();
    for (int start = 0; start < rows.size(); ) {
      int end = end(rows, start, tail, most);
      batches.add(rows.subList(start, end));
      start = end;
    }
    return batches;
  }

  /** The last row of a batch shares least, and so decides for all. */
  private int end(List<Row> rows, int start, int tail, int most) {
    int longest = 0;
    int end = start;
    while (end < rows.size() && end - start < most) {
      longest = Math.max(longest, rows.get(end).string().length);
      long tokens = (longest + tail - rows.get(end).shared()) * (end - start + 1L);
      if (end > start && tokens > laneTokens) {
        break;
      }
      end++;
    }
    return end;
  }

  @Override
  public void close() {
    lanes.forEach(CandidateLane::close);
  }
}
