package io.holdfast.geometry;

import io.holdfast.geometry.Quadrants.Reply;
import java.util.Arrays;
import java.util.List;

/**
 * What a model makes of labelled prompts: where its carriers are. Harm is read at the end of the
 * instruction between harmful and benign prompts, refusal at the end of the prompt between refused
 * and answered ones. Every method takes the rows it looks at, so that they can be drawn anew.
 */
public record LabelledStates(Quadrants labels, PromptReadout readout) {
  /** Slots of the residual stream that were read, ascending. */
  public List<Integer> layers() {
    return List.copyOf(readout.promptEnd().byLayer().keySet());
  }

  /** Width d of the residual stream. */
  public int width() {
    return readout.promptEnd().at(layers().getFirst())[0].length;
  }

  /** The same states under shuffled labels. */
  LabelledStates shuffled(int[] order) {
    return new LabelledStates(labels.shuffled(order), readout);
  }

  /** States of harmful or benign prompts where harm is read. */
  double[][] asking(int layer, int[] rows, boolean forHarm) {
    return pick(readout.instructionEnd().at(layer), labels.asking(rows, forHarm));
  }

  /** States of refused or answered prompts where refusal is decided. */
  double[][] answered(int layer, int[] rows, Reply reply) {
    return pick(readout.promptEnd().at(layer), labels.answered(rows, reply));
  }

  /** Difference of the means of harmful and benign prompts. */
  public Carrier harm(int layer, int[] rows) {
    return Carrier.between(asking(layer, rows, true), asking(layer, rows, false));
  }

  /** Difference of the means of refused and answered prompts. */
  public Carrier refusal(int layer, int[] rows) {
    return replies(layer, rows).carrier();
  }

  /** Refused and answered prompts where refusal is decided. */
  Contrast replies(int layer, int[] rows) {
    return new Contrast(
        answered(layer, rows, Reply.REFUSED), answered(layer, rows, Reply.COMPLIED));
  }

  /** The harm carrier and the directions in which harmful prompts spread beside it. */
  public Basis harmSpace(int layer, int[] rows, int rank) {
    return space(asking(layer, rows, true), asking(layer, rows, false), rank);
  }

  /** The refusal carrier and the directions in which refused prompts spread beside it. */
  public Basis refusalSpace(int layer, int[] rows, int rank) {
    return space(answered(layer, rows, Reply.REFUSED), answered(layer, rows, Reply.COMPLIED), rank);
  }

  /** Harmful minus benign where refusal is decided. */
  Carrier gap(int layer, int[] rows) {
    var states = readout.promptEnd().at(layer);
    return Carrier.between(
        pick(states, labels.asking(rows, true)), pick(states, labels.asking(rows, false)));
  }

  /** The difference that harm makes, read at the wrong position: a control. */
  public Carrier harmAtEnd(int layer) {
    return gap(layer, labels.all());
  }

  /** The difference between refused and answered prompts, read at the wrong position: a control. */
  public Carrier refusalAtInstruction(int layer) {
    var states = readout.instructionEnd().at(layer);
    int[] rows = labels.all();
    return Carrier.between(
        pick(states, labels.answered(rows, Reply.REFUSED)),
        pick(states, labels.answered(rows, Reply.COMPLIED)));
  }

  /** How well harm can be read at a layer. */
  public Readability readableHarm(int layer, int[] rows) {
    return Readability.of(asking(layer, rows, true), asking(layer, rows, false));
  }

  /** How well the reply can be read at a layer before it is given. */
  public Readability readableRefusal(int layer, int[] rows) {
    return Readability.of(
        answered(layer, rows, Reply.REFUSED), answered(layer, rows, Reply.COMPLIED));
  }

  private static Basis space(double[][] with, double[][] without, int rank) {
    return Basis.leading(
        List.of(Carrier.between(with, without).vector()), Carrier.differences(with, without), rank);
  }

  static double[][] pick(double[][] states, int[] rows) {
    return Arrays.stream(rows).mapToObj(i -> states[i]).toArray(double[][]::new);
  }
}
