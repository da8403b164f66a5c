package io.holdfast.geometry;

import io.holdfast.HoldfastException;
import io.holdfast.data.Example;
import io.holdfast.model.Decoder;
import io.holdfast.model.Generation;
import io.holdfast.model.Generator;
import io.holdfast.model.Tap;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;

/**
 * What directions are trained on: a harmful and a benign prompt with the answers that a mean
 * difference, found before, makes the model give.
 *
 * @param ablated the harmful prompt, answered with the mean difference ablated
 * @param added the benign prompt, refused with the mean difference added
 * @param retained the benign prompt with the model's own answer
 */
public record ConeRow(Example ablated, Example added, Example retained) {
  /** Tokens of an answer, as the paper has them. */
  private static final int TOKENS = 30;

  private static final int BATCH = 32;

  /**
   * Lets a model answer under its mean difference. Prompts with which that does not do what it
   * should, so that their answers would teach the opposite, are left out.
   *
   * @param harmful prompts that the model refuses
   * @param benign prompts that it answers
   * @param carrier the mean difference, with its length
   * @param slot at which it is added
   * @param stops tokens that end an answer
   * @param refuses whether an answer is a refusal
   * @return as many rows as there are prompts left of the smaller class
   * @throws HoldfastException if none is left
   */
  public static List<ConeRow> of(
      Decoder model,
      List<Example> harmful,
      List<Example> benign,
      Carrier carrier,
      int slot,
      Set<Integer> stops,
      Predicate<int[]> refuses) {
    var unit = new Basis(new double[][] {carrier.unit()});
    var ablation = Intervention.ablating(unit, model.architecture().depth(), Reach.ALL);
    var addition = Intervention.adding(carrier.vector(), slot, Reach.ALL);
    var freed = answers(model, List.of(ablation), harmful, stops);
    var held = answers(model, List.of(addition), benign, stops);
    var usual = answers(model, Tap.NONE, benign, stops);
    var ablated = new ArrayList<Example>();
    for (int i = 0; i < harmful.size(); i++) {
      if (freed.get(i).length > 0 && !refuses.test(freed.get(i))) {
        ablated.add(harmful.get(i).answered(freed.get(i)));
      }
    }
    var rows = new ArrayList<ConeRow>();
    boolean answered = !ablated.isEmpty();
    for (int i = 0; i < benign.size(); i++) {
      if (refuses.test(held.get(i)) && usual.get(i).length > 0 && !ablated.isEmpty()) {
        rows.add(
            new ConeRow(
                ablated.removeFirst(),
                benign.get(i).answered(held.get(i)),
                benign.get(i).answered(usual.get(i))));
      }
    }
    if (rows.isEmpty()) {
      throw HoldfastException.input(
          "%s, so there are no answers to train directions on; give more prompts, or another list"
              + " of --phrases",
          answered
              ? "adding the mean difference makes the model refuse none of the benign prompts"
              : "ablating the mean difference makes the model answer none of the harmful prompts");
    }
    return List.copyOf(rows);
  }

  private static List<int[]> answers(
      Decoder model, List<Tap> taps, List<Example> prompts, Set<Integer> stops) {
    return new Generator(model, taps, BATCH)
            .generate(prompts.stream().map(Example::ids).toList(), Generation.greedy(TOKENS, stops))
            .stream()
            .map(Generator.Continuation::ids)
            .toList();
  }
}
