package io.holdfast.model;

import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/** Continues prompts, many at a time: padded on the left, with a cache of keys and values. */
public final class Generator {
  private final Decoder decoder;
  private final List<Tap> taps;
  private final int batch;

  /**
   * A generator.
   *
   * @param taps applied in every forward pass
   * @param batch prompts decoded together
   */
  public Generator(Decoder decoder, List<Tap> taps, int batch) {
    this.decoder = decoder;
    this.taps = taps;
    this.batch = batch;
  }

  /**
   * A continuation.
   *
   * @param ids new tokens, without the one that stopped it
   * @param stopped whether a stop token ended it, rather than the length
   */
  public record Continuation(int[] ids, boolean stopped) {}

  /** Continuations in the order of the prompts; prompts must not be empty. */
  public List<Continuation> generate(List<int[]> prompts, Generation settings) {
    // Prompts of like length share a batch, so that little is padded.
    var order =
        IntStream.range(0, prompts.size())
            .boxed()
            .sorted(Comparator.comparingInt(i -> prompts.get(i).length))
            .toList();
    var results = new Continuation[prompts.size()];
    int border = decoder.architecture().shortPositions();
    for (int start = 0, end; start < order.size(); start = end) {
      end = Math.min(start + batch, order.size());
      if (border < Integer.MAX_VALUE) {
        // The longest row decides the rotary frequencies: rows of one length agree.
        int length = prompts.get(order.get(start)).length;
        while (prompts.get(order.get(end - 1)).length != length) {
          end--;
        }
      }
      var indices = order.subList(start, end);
      var continued =
          new Decoding(indices.stream().map(prompts::get).toList(), indices, settings).run();
      for (int i = 0; i < indices.size(); i++) {
        results[indices.get(i)] = continued.get(i);
      }
    }
    return Arrays.asList(results);
  }

  /** One batch on its way. */
  private final class Decoding {
    final int rows;
    final int width;
    final int[] pad;
    final List<int[]> prompts;
    final Generation settings;
    final SplittableRandom[] random;
    final List<List<Integer>> produced = new ArrayList<>();
    final List<long[]> steps = new ArrayList<>();
    final boolean[] done;
    int open;

    Decoding(List<int[]> prompts, List<Integer> indices, Generation settings) {
      this.prompts = prompts;
      this.settings = settings;
      this.rows = prompts.size();
      this.width = prompts.stream().mapToInt(ids -> ids.length).max().orElse(0);
      this.pad = prompts.stream().mapToInt(ids -> width - ids.length).toArray();
      this.done = new boolean[rows];
      this.open = rows;
      // A row's draws depend on its place in the input alone, not on its company in the batch.
      this.random =
          settings.sampling() instanceof Generation.Sampling.Random drawn
              ? indices.stream()
                  .map(i -> new SplittableRandom(drawn.seed() * 0x9E3779B97F4A7C15L + i))
                  .toArray(SplittableRandom[]::new)
              : null;
      prompts.forEach(prompt -> produced.add(new ArrayList<>()));
    }

    List<Continuation> run() {
      try (var outer = Scope.open();
          var noGrad = NoGrad.on();
          var cache = new KvCache(decoder.architecture(), rows, width + settings.maxNewTokens())) {
        var next = prompt(cache);
        for (int step = 1; step < settings.maxNewTokens() && open > 0; step++) {
          if (width + step == decoder.architecture().shortPositions() + 1) {
            next = again(cache);
          } else {
            next = continued(cache, next, step);
          }
        }
      }
      var results = new ArrayList<Continuation>();
      for (int r = 0; r < rows; r++) {
        int[] ids = produced.get(r).stream().mapToInt(Integer::intValue).toArray();
        results.add(new Continuation(ids, done[r]));
      }
      return results;
    }

    private long[] prompt(KvCache cache) {
      var ids = new long[rows * width];
      var positions = new long[rows * width];
      for (int r = 0; r < rows; r++) {
        for (int t = 0; t < prompts.get(r).length; t++) {
          ids[r * width + pad[r] + t] = prompts.get(r)[t];
          positions[r * width + pad[r] + t] = t;
        }
      }
      try (var scope = Scope.open()) {
        boolean padded = Arrays.stream(pad).anyMatch(p -> p > 0);
        var tokens =
            new Tokens(
                Tensors.of(ids, rows, width),
                padded ? Tensors.of(positions, rows, width) : null,
                padded ? mask(width, 0, width) : null,
                cache);
        return choose(forward(tokens));
      }
    }

    /** Reads everything once more, with the rotary frequencies of longer sequences. */
    private long[] again(KvCache cache) {
      cache.clear();
      int time = width + steps.size();
      var ids = new long[rows * time];
      for (int r = 0; r < rows; r++) {
        for (int t = 0; t < time; t++) {
          ids[r * time + t] = t < width ? prompts.get(r)[t] : steps.get(t - width)[r];
        }
      }
      try (var scope = Scope.open()) {
        return choose(forward(new Tokens(Tensors.of(ids, rows, time), null, null, cache)));
      }
    }

    private long[] continued(KvCache cache, long[] last, int step) {
      try (var scope = Scope.open()) {
        var positions = new long[rows];
        for (int r = 0; r < rows; r++) {
          positions[r] = width - pad[r] + step - 1;
        }
        int seen = width + step;
        boolean padded = Arrays.stream(pad).anyMatch(p -> p > 0);
        var tokens =
            new Tokens(
                Tensors.of(last, rows, 1),
                padded ? Tensors.of(positions, rows, 1) : null,
                padded ? mask(1, seen - 1, seen) : null,
                cache);
        return choose(forward(tokens));
      }
    }

    private Tensor forward(Tokens tokens) {
      var hidden = decoder.forward(tokens, AdapterMode.ON, taps);
      return decoder.logits(hidden.select(1, hidden.size(1) - 1));
    }

    /** True where a token may look: not at padding, not ahead. */
    private Tensor mask(int time, int from, int seen) {
      var allowed = new boolean[rows * time * seen];
      for (int r = 0; r < rows; r++) {
        for (int t = 0; t < time; t++) {
          for (int s = 0; s < seen; s++) {
            // A padding row looks at itself: a row that sees nothing would be NaN.
            allowed[(r * time + t) * seen + s] = s <= from + t && (s >= pad[r] || s == from + t);
          }
        }
      }
      return Tensors.of(allowed, rows, 1, time, seen);
    }

    private long[] choose(Tensor logits) {
      long[] chosen =
          switch (settings.sampling()) {
            case Generation.Sampling.Greedy() ->
                Tensors.longs(torch.argmax(logits, new LongOptional(-1), false));
            case Generation.Sampling.Random drawn -> drawn(logits, drawn);
          };
      steps.add(chosen);
      for (int r = 0; r < rows; r++) {
        if (done[r]) {
          continue;
        }
        if (settings.stops().contains((int) chosen[r])) {
          done[r] = true;
          open--;
        } else {
          produced.get(r).add((int) chosen[r]);
        }
      }
      return chosen;
    }

    private long[] drawn(Tensor logits, Generation.Sampling.Random settings) {
      var sorted = torch.sort(logits.div(new Scalar(settings.temperature())).softmax(-1), -1, true);
      int vocabulary = Math.toIntExact(logits.size(-1));
      float[] probabilities = Tensors.floats(sorted.get0());
      long[] ids = Tensors.longs(sorted.get1());
      var chosen = new long[rows];
      for (int r = 0; r < rows; r++) {
        int from = r * vocabulary;
        int kept = kept(probabilities, from, vocabulary, settings);
        double total = 0;
        for (int i = 0; i < kept; i++) {
          total += probabilities[from + i];
        }
        double target = random[r].nextDouble() * total;
        int i = 0;
        for (double sum = probabilities[from]; sum <= target && i < kept - 1; ) {
          sum += probabilities[from + ++i];
        }
        chosen[r] = ids[from + i];
      }
      return chosen;
    }

    /** How many of the most probable tokens may be drawn; always one at least. */
    private static int kept(
        float[] probabilities, int from, int vocabulary, Generation.Sampling.Random settings) {
      int most = settings.topK() > 0 ? Math.min(settings.topK(), vocabulary) : vocabulary;
      double sum = 0;
      for (int i = 0; i < most; i++) {
        sum += probabilities[from + i];
        if (sum >= settings.topP()) {
          return i + 1;
        }
      }
      return most;
    }
  }
}
