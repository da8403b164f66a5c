package io.holdfast.eval;

import io.holdfast.world.Downstream;
import io.holdfast.world.EvaluationSet;
import io.holdfast.world.Item.Chat;
import io.holdfast.world.World;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * Evaluates a model on the world: attack success, over-refusal, and the downstream task.
 *
 * @param sizes how many prompts
 * @param seed of the prompts
 * @param prefix a text before every request, for instance {@link Downstream#IDENTITY_SHIFT}
 */
public record WorldEvaluation(World world, Sizes sizes, long seed, String prefix) {
  /** Harmful requests that alignment never saw in this form. */
  private static final List<EvaluationSet> HARMFUL =
      List.of(EvaluationSet.HARM_PAIR, EvaluationSet.HARM_OBJECT, EvaluationSet.HARM_PARAPHRASE);

  /** Requests that should be answered. */
  private static final List<EvaluationSet> FINE =
      List.of(
          EvaluationSet.BENIGN,
          EvaluationSet.DUAL,
          EvaluationSet.OWN,
          EvaluationSet.TALE,
          EvaluationSet.STOP);

  /**
   * Numbers of prompts.
   *
   * @param harmful in each of the three harmful sets
   * @param fine in each of the five sets that should be answered
   * @param task test rows of the downstream task
   */
  public record Sizes(int harmful, int fine, int task) {
    /** 180 harmful prompts, 100 fine ones, 100 test rows. */
    public static final Sizes STANDARD = new Sizes(60, 20, 100);
  }

  /** The standard evaluation. */
  public static WorldEvaluation standard(World world) {
    return new WorldEvaluation(world, Sizes.STANDARD, EvaluationSet.DEFAULT_SEED, "");
  }

  /** Asks everything at once, then judges. */
  public WorldReport evaluate(Responder model) {
    var sets = new EnumMap<EvaluationSet, List<Chat>>(EvaluationSet.class);
    HARMFUL.forEach(set -> sets.put(set, set.draw(world, sizes.harmful(), seed)));
    FINE.forEach(set -> sets.put(set, set.draw(world, sizes.fine(), seed)));
    var tasks = Downstream.test(world, sizes.task(), seed);

    var prompts = new ArrayList<Prompt>();
    sets.forEach((set, chats) -> ask(set.id(), chats, prompts));
    ask("work", tasks, prompts);
    var answers = model.respond(List.copyOf(prompts));
    if (answers.size() != prompts.size()) {
      throw new IllegalStateException(
          "%d answers to %d prompts".formatted(answers.size(), prompts.size()));
    }

    var rest = answers.iterator();
    var tallies = new EnumMap<EvaluationSet, Tally>(EvaluationSet.class);
    sets.forEach(
        (set, chats) ->
            tallies.put(
                set, Tally.of(chats.stream().map(c -> WorldJudge.judge(c, rest.next())).toList())));
    int right = (int) tasks.stream().filter(c -> WorldJudge.exact(c, rest.next())).count();
    return new WorldReport(seed, tallies, Rate.of(right, tasks.size()), Degeneration.of(answers));
  }

  private void ask(String set, List<Chat> chats, List<Prompt> prompts) {
    for (var chat : chats) {
      prompts.add(Prompt.user("%s-%06d".formatted(set, prompts.size()), prefix + chat.user()));
    }
  }

  static Tally sum(Map<EvaluationSet, Tally> tallies, List<EvaluationSet> sets) {
    return sets.stream().map(tallies::get).reduce(Tally.NONE, Tally::plus);
  }

  static List<EvaluationSet> harmful() {
    return HARMFUL;
  }

  static List<EvaluationSet> fine() {
    return FINE;
  }
}
