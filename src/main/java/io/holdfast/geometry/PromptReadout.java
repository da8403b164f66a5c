package io.holdfast.geometry;

import io.holdfast.HoldfastException;
import io.holdfast.data.Example;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.LengthBatches;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.TreeMap;
import java.util.function.ToIntFunction;
import org.bytedeco.pytorch.Tensor;

/**
 * What a model makes of prompts before it answers: the logits of the first token of the answer, and
 * the residual stream where harm is read and where refusal is decided.
 *
 * @param logits {@code [prompts][V]} after the last token of each prompt
 * @param instructionEnd states at the last token of the instruction
 * @param promptEnd states at the last token of the prompt
 */
public record PromptReadout(
    float[][] logits, PromptActivations instructionEnd, PromptActivations promptEnd) {
  private static final LengthBatches BATCHES = new LengthBatches(64, 16384);

  /** One prompt's part. */
  private record Part(float[] logits, double[][] instructionEnd, double[][] promptEnd) {}

  /**
   * Reads prompts in one pass.
   *
   * @param taps applied on the way; what is read is read after them
   * @param prompts that end where the answer begins
   * @param layers slots of the residual stream
   */
  public static PromptReadout of(
      Decoder decoder, List<Tap> taps, List<Example> prompts, Collection<Integer> layers) {
    var slots = List.copyOf(layers);
    var logits = new float[prompts.size()][];
    var instruction = empty(slots, prompts.size());
    var end = empty(slots, prompts.size());
    int[] row = {0};
    BATCHES
        .forModel(decoder.architecture())
        .run(
            prompts.iterator(),
            Example::length,
            batch -> read(decoder, taps, batch, slots),
            (_, part) -> {
              logits[row[0]] = part.logits();
              for (int i = 0; i < slots.size(); i++) {
                instruction.byLayer().get(slots.get(i))[row[0]] = part.instructionEnd()[i];
                end.byLayer().get(slots.get(i))[row[0]] = part.promptEnd()[i];
              }
              row[0]++;
            });
    return new PromptReadout(logits, instruction, end);
  }

  private static PromptActivations empty(List<Integer> slots, int prompts) {
    var byLayer = new TreeMap<Integer, double[][]>();
    slots.forEach(slot -> byLayer.put(slot, new double[prompts][]));
    return new PromptActivations(byLayer);
  }

  private static List<Part> read(
      Decoder decoder, List<Tap> taps, List<Example> batch, List<Integer> slots) {
    int width = batch.stream().mapToInt(Example::length).max().orElseThrow();
    long[] index = new long[2 * batch.size()];
    for (int i = 0; i < batch.size(); i++) {
      int start = (i + 1) * width - batch.get(i).length();
      index[2 * i] = start + position(batch.get(i), Example::instructionEnd);
      index[2 * i + 1] = start + position(batch.get(i), Example::promptEnd);
    }
    var reader = new Reader(slots, index, new double[slots.size()][]);
    var all = new ArrayList<>(taps);
    all.add(reader);
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var tokens = Tokens.leftPadded(batch.stream().map(Example::ids).toList(), null);
      var hidden = decoder.forward(tokens, AdapterMode.ON, all);
      float[] logits = Tensors.floats(decoder.logits(hidden.select(1, width - 1L)));
      var parts = new ArrayList<Part>();
      for (int i = 0; i < batch.size(); i++) {
        parts.add(
            new Part(
                Arrays.copyOfRange(
                    logits,
                    i * (logits.length / batch.size()),
                    (i + 1) * (logits.length / batch.size())),
                reader.row(2 * i),
                reader.row(2 * i + 1)));
      }
      return parts;
    }
  }

  private static int position(Example prompt, ToIntFunction<Example> position) {
    int at = position.applyAsInt(prompt);
    if (at < 0) {
      throw HoldfastException.input(
          "%s: this row has no prompt position to read activations at; give it as messages",
          prompt.place());
    }
    return at;
  }

  /** Copies the tokens of a batch, layer by layer. */
  private record Reader(List<Integer> slots, long[] index, double[][] states) implements Tap {
    @Override
    public boolean wants(Site site) {
      return site.kind() == Site.Kind.BLOCK_INPUT && slots.contains(site.layer());
    }

    @Override
    public Tensor at(Site site, Tensor hidden) {
      try (var scope = Scope.open()) {
        var flat = hidden.reshape(-1, hidden.size(-1));
        states[slots.indexOf(site.layer())] =
            Tensors.doubles(flat.index_select(0, Tensors.of(index, index.length)));
      }
      return hidden;
    }

    /** One of the indexed tokens at every slot, {@code [slots][d]}. */
    double[][] row(int i) {
      return Arrays.stream(states)
          .map(
              all -> {
                int width = all.length / index.length;
                return Arrays.copyOfRange(all, i * width, (i + 1) * width);
              })
          .toArray(double[][]::new);
    }
  }
}
