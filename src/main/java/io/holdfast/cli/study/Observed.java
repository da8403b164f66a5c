package io.holdfast.cli.study;

import io.holdfast.data.Example;
import io.holdfast.geometry.LabelledStates;
import io.holdfast.geometry.PromptReadout;
import io.holdfast.geometry.Quadrants;
import io.holdfast.geometry.Quadrants.Reply;
import io.holdfast.geometry.RefusalScore;
import io.holdfast.model.Decoder;
import io.holdfast.model.Generation;
import io.holdfast.model.Generator;
import io.holdfast.model.Tap;
import io.holdfast.text.ChatTokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * What one model does with the prompts of a study: its states, its own replies, and the labels that
 * carriers are found with, which are those replies unless a flag says otherwise.
 *
 * @param prompts as tokens
 * @param states with the labels in use
 * @param own what the model itself answered; the labels of the files where they were asked for
 * @param answers tokens of these answers; empty where the labels are those of the files
 * @param score of refusals, by the tokens with which they begin
 * @param flags what a reader must know of the labels
 */
public record Observed(
    List<Example> prompts,
    LabelledStates states,
    Quadrants own,
    List<int[]> answers,
    RefusalScore score,
    List<String> flags) {
  private static final int BATCH = 128;

  /**
   * Observes a model.
   *
   * @param reference whose labels and refusal tokens stand in where the model refuses, or answers,
   *     too few prompts
   * @param tokens with which refusals begin; found in the model's own refusals if not given
   */
  public static Observed of(
      Decoder model,
      ChatTokenizer chat,
      StudyPrompts study,
      Optional<Observed> reference,
      Optional<RefusalScore> tokens,
      int maxNewTokens) {
    var prompts = reference.map(Observed::prompts).orElseGet(() -> study.examples(chat));
    var layers = IntStream.rangeClosed(0, model.architecture().depth()).boxed().toList();
    var readout = PromptReadout.of(model, Tap.NONE, prompts, layers);
    var known = tokens.or(() -> reference.map(Observed::score));
    boolean fromFile = study.labels() == StudyPrompts.Labels.FILE;
    var answers = fromFile ? List.<int[]>of() : answers(model, chat, prompts, maxNewTokens);
    var replies =
        fromFile
            ? study.recorded()
            : IntStream.range(0, prompts.size())
                .mapToObj(i -> study.judged(i, chat.tokenizer().decode(answers.get(i), true)))
                .toArray(Reply[]::new);
    var own = new Quadrants(study.asksForHarm(), replies);
    var flags = new ArrayList<String>();
    var labels = fromFile ? own : usable(own, reference, flags);
    var score = known.orElseGet(() -> learnt(own, flags, readout));
    return new Observed(
        prompts, new LabelledStates(labels, readout), own, answers, score, List.copyOf(flags));
  }

  /**
   * The first prompts of a cell, each with the beginning of the model's own answer where enough of
   * them have one of this kind, else all without.
   *
   * @param answer tokens of it
   */
  List<Example> begun(boolean harmful, Reply reply, int limit, int answer) {
    int[] cell = states.labels().cell(harmful, reply);
    int[] answered =
        IntStream.of(cell)
            .filter(i -> own.replies()[i] == reply)
            .filter(i -> i < answers.size() && answers.get(i).length >= answer)
            .toArray();
    boolean enough = answered.length >= Math.min(Quadrants.LEAST, cell.length);
    return IntStream.of(enough ? answered : cell)
        .limit(limit)
        .mapToObj(
            i ->
                enough
                    ? prompts.get(i).answered(Arrays.copyOf(answers.get(i), answer))
                    : prompts.get(i))
        .toList();
  }

  /** The first harmful prompts that the model itself refuses, each with its refusal. */
  List<Example> refusals(int limit) {
    return IntStream.of(own.cell(true, Reply.REFUSED))
        .filter(i -> i < answers.size() && answers.get(i).length > 0)
        .limit(limit)
        .mapToObj(i -> prompts.get(i).answered(answers.get(i)))
        .toList();
  }

  private static List<int[]> answers(
      Decoder model, ChatTokenizer chat, List<Example> prompts, int maxNewTokens) {
    var greedy = Generation.greedy(maxNewTokens, chat.tokenizer().endOfText());
    return new Generator(model, Tap.NONE, BATCH)
        .generate(prompts.stream().map(Example::ids).toList(), greedy).stream()
            .map(Generator.Continuation::ids)
            .toList();
  }

  /** The model's own labels where they tell refusal, else others, with a flag. */
  private static Quadrants usable(Quadrants own, Optional<Observed> reference, List<String> flags) {
    if (own.tellsRefusal()) {
      return own;
    }
    var counts =
        "%d prompts are refused and %d answered, fewer than %d of one kind: "
            .formatted(count(own, Reply.REFUSED), count(own, Reply.COMPLIED), Quadrants.LEAST);
    var before = reference.map(r -> r.states().labels()).filter(Quadrants::tellsRefusal);
    if (before.isPresent()) {
      flags.add(counts + "carriers use the labels of the reference");
      return before.get();
    }
    flags.add(counts + "carriers take every harmful prompt for refused, every benign for answered");
    var replies = new Reply[own.size()];
    for (int i = 0; i < replies.length; i++) {
      replies[i] = own.harmful()[i] ? Reply.REFUSED : Reply.COMPLIED;
    }
    return new Quadrants(own.harmful(), replies);
  }

  private static int count(Quadrants labels, Reply reply) {
    return labels.cell(true, reply).length + labels.cell(false, reply).length;
  }

  private static float[][] logits(Quadrants own, Reply reply, PromptReadout readout) {
    return IntStream.range(0, own.size())
        .filter(i -> own.replies()[i] == reply)
        .mapToObj(i -> readout.logits()[i])
        .toArray(float[][]::new);
  }

  private static RefusalScore learnt(Quadrants own, List<String> flags, PromptReadout readout) {
    var score =
        RefusalScore.learnt(
            logits(own, Reply.REFUSED, readout), logits(own, Reply.COMPLIED, readout));
    double[] scores = score.of(readout.logits());
    long shared =
        IntStream.range(0, own.size())
            .filter(i -> own.replies()[i] == Reply.COMPLIED && scores[i] > 0)
            .count();
    if (shared > 0) {
      flags.add(
          "%d answered prompts begin as refusals do: the refusal score does not tell them apart"
              .formatted(shared));
    }
    return score;
  }
}
