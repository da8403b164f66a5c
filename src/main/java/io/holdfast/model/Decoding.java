package io.holdfast.model;

import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToLongFunction;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * One batch of prompts on its way. A row that is done leaves the batch, so that the others no
 * longer pay for it.
 */
final class Decoding {
  private final Decoder decoder;
  private final List<Tap> taps;
  private final Generation settings;
  private final List<DecodedRow> all;
  private final List<DecodedRow> open;
  private final int width;
  private KvCache cache;
  // True where a row's columns hold a token of its own, [rows, 1, 1, capacity]; null where no row
  // is padded.
  private Tensor visible;
  // True where a token was said, [rows, V]; null where that does not matter.
  private Tensor said;

  Decoding(Decoder decoder, List<Tap> taps, Generation settings, List<Generator.Prompt> prompts) {
    this.decoder = decoder;
    this.taps = taps;
    this.settings = settings;
    this.all = prompts.stream().map(prompt -> new DecodedRow(prompt, settings)).toList();
    this.open = new ArrayList<>(all);
    this.width = prompts.stream().mapToInt(prompt -> prompt.ids().length).max().orElse(0);
  }

  /** Continuations in the order of the prompts. */
  List<Generator.Continuation> run() {
    int capacity = width + settings.maxNewTokens();
    try (var scope = Scope.open();
        var noGrad = NoGrad.on();
        var opened =
            new KvCache(decoder.architecture(), decoder.weights().dtype(), all.size(), capacity)) {
      cache = opened;
      visible = padding(capacity);
      said = settings.repetitionPenalty() == 1 ? null : prompted();
      try (var step = Scope.open()) {
        choose(prompt());
      }
      while (!open.isEmpty()) {
        try (var step = Scope.open()) {
          choose(next());
        }
      }
    }
    return all.stream().map(DecodedRow::continuation).toList();
  }

  private Tensor padding(int capacity) {
    if (all.stream().allMatch(row -> row.prompt().length == width)) {
      return null;
    }
    var first = column(row -> width - row.prompt().length).view(all.size(), 1, 1, 1);
    return Tensors.range(0, capacity).ge(first);
  }

  private Tensor prompted() {
    var found = Tensors.empty(ScalarType.Bool, all.size(), decoder.architecture().vocabulary());
    found.zero_();
    for (int r = 0; r < all.size(); r++) {
      int[] ids = all.get(r).prompt();
      var wide = Arrays.stream(ids).asLongStream().toArray();
      found.select(0, r).index_fill_(0, Tensors.of(wide, wide.length), new Scalar(1));
    }
    return found;
  }

  /** Logits after the prompts, {@code [rows, V]}. */
  private Tensor prompt() {
    return logits(Tokens.leftPadded(all.stream().map(DecodedRow::prompt).toList(), cache));
  }

  /** Logits after the tokens that were chosen last. */
  private Tensor next() {
    if (open.getFirst().length() == decoder.architecture().shortPositions() + 1L) {
      return again();
    }
    var mask =
        visible == null
            ? null
            : visible.narrow(0, 0, open.size()).narrow(3, 0, cache.length() + 1L);
    return logits(
        new Tokens(
            column(DecodedRow::last),
            visible == null ? null : column(row -> row.length() - 1),
            mask,
            cache));
  }

  /**
   * Reads everything once more, with the rotary frequencies of longer sequences; such rows are of
   * one length.
   */
  private Tensor again() {
    cache.clear();
    long[] ids = open.stream().flatMapToLong(DecodedRow::tokens).toArray();
    var again = Tensors.of(ids, open.size(), ids.length / open.size());
    return logits(new Tokens(again, null, null, cache));
  }

  private Tensor logits(Tokens tokens) {
    var hidden = decoder.forward(tokens, AdapterMode.ON, taps);
    return decoder.logits(hidden.select(1, hidden.size(1) - 1));
  }

  private void choose(Tensor logits) {
    var scores =
        said == null
            ? logits
            : penalised(logits, said.narrow(0, 0, open.size()), settings.repetitionPenalty());
    long[] chosen =
        switch (settings.sampling()) {
          case Generation.Sampling.Greedy() ->
              Tensors.longs(torch.argmax(scores, new LongOptional(-1), false));
          case Generation.Sampling.Random random ->
              Candidates.of(scores, random)
                  .draw(open.stream().mapToDouble(DecodedRow::uniform).toArray());
        };
    var column = Tensors.of(chosen, chosen.length, 1);
    if (said != null) {
      said.narrow(0, 0, open.size()).scatter_(1, column, new Scalar(1));
    }
    float[] logprobs =
        settings.logprobs() ? Tensors.floats(logits.log_softmax(1).gather(1, column)) : null;
    // From the last row on: what takes a row's place has been looked at.
    for (int r = chosen.length - 1; r >= 0; r--) {
      if (open.get(r).take((int) chosen[r], logprobs == null ? 0 : logprobs[r])) {
        drop(r);
      }
    }
  }

  /** Makes the logits smaller where a token was said, as {@link Generation} has it. */
  static Tensor penalised(Tensor logits, Tensor said, double penalty) {
    try (var scope = Scope.open()) {
      var by = new Scalar(penalty);
      var less = torch.where(logits.lt(new Scalar(0)), logits.mul(by), logits.div(by));
      return scope.keep(torch.where(said, less, logits));
    }
  }

  private void drop(int row) {
    int last = open.size() - 1;
    cache.drop(row);
    if (row != last) {
      open.set(row, open.get(last));
      for (var state : new Tensor[] {visible, said}) {
        if (state != null) {
          state.select(0, row).copy_(state.select(0, last));
        }
      }
    }
    open.removeLast();
  }

  /** A number of each open row, int64 {@code [rows, 1]}. */
  private Tensor column(ToLongFunction<DecodedRow> value) {
    return Tensors.of(open.stream().mapToLong(value).toArray(), open.size(), 1);
  }
}
