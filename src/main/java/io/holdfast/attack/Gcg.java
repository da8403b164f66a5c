package io.holdfast.attack;

import io.holdfast.attack.TimeSplit.Part;
import io.holdfast.eval.Judge;
import io.holdfast.eval.Outcome;
import io.holdfast.eval.PhraseList;
import io.holdfast.kernels.Kernels;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * Greedy coordinate gradient (Zou et al. 2023), as nanoGCG runs it: strings which, put behind a
 * request, make a given answer probable.
 *
 * <pre>{@code
 * try (var gcg = new Gcg(model, chat, kernels, GcgSettings.nanoGcg())) {
 *   var found = gcg.run(List.of(attackCase), state -> !interrupt.requested());
 * }
 * }</pre>
 */
public final class Gcg implements AutoCloseable {
  private final Decoder model;
  private final ChatTokenizer chat;
  private final Kernels kernels;
  private final GcgSettings settings;
  private final Judge judge;
  private final AllowedTokens allowed;
  private final Optional<Draft> draft;
  private final TimeSplit time = new TimeSplit();

  /** A smaller model that screens candidates. */
  public record Draft(Decoder model, ChatTokenizer chat) {}

  /** A search of a model, with the phrases of AdvBench as judge. */
  public Gcg(Decoder model, ChatTokenizer chat, Kernels kernels, GcgSettings settings) {
    this(model, chat, kernels, settings, PhraseList.named("advbench"), Optional.empty());
  }

  /**
   * A search of a model.
   *
   * @param judge of answers, where the settings ask for any
   * @param draft needed where the settings have probe sampling
   */
  public Gcg(
      Decoder model,
      ChatTokenizer chat,
      Kernels kernels,
      GcgSettings settings,
      Judge judge,
      Optional<Draft> draft) {
    if (settings.probe().isPresent() != draft.isPresent()) {
      throw new IllegalArgumentException("probe sampling and a draft model go together");
    }
    this.model = model;
    this.chat = chat;
    this.kernels = kernels;
    this.settings = settings;
    this.judge = judge;
    this.draft = draft;
    this.allowed =
        new AllowedTokens(
            chat.tokenizer(),
            model.architecture().vocabulary(),
            settings.search().nonAscii(),
            settings.search().forbidden());
  }

  /** Where the time went so far. */
  public TimeSplit time() {
    return time;
  }

  /** How it searches. */
  public GcgSettings settings() {
    return settings;
  }

  /**
   * The search for one string; close it when done.
   *
   * @param cases that the string is to work for: one, or several at once (llm-attacks)
   */
  public GcgSearch search(List<AttackCase> cases) {
    return search(cases, settings.seed());
  }

  /** The search for one string with draws of its own. */
  public GcgSearch search(List<AttackCase> cases, long seed) {
    return new GcgSearch(
        model, chat, kernels, settings.withSeed(seed), allowed, draft, cases, time);
  }

  /** A search from its beginning to its end. */
  public GcgResult run(List<AttackCase> cases, Predicate<GcgState> goOn) {
    return run(cases, Optional.empty(), goOn);
  }

  /**
   * A search from where it was left to its end.
   *
   * @param from the state it was left in, if there is one
   * @param goOn is handed the state after every step; where it says no the result is that of the
   *     steps so far
   */
  public GcgResult run(List<AttackCase> cases, Optional<GcgState> from, Predicate<GcgState> goOn) {
    try (var search = search(cases)) {
      var state = from.orElseGet(search::start);
      while (state.step() < settings.steps() && !state.over()) {
        state = stopped(search.step(state), search, cases);
        if (!goOn.test(state)) {
          break;
        }
      }
      return GcgResult.of(state);
    }
  }

  private GcgState stopped(GcgState state, GcgSearch search, List<AttackCase> cases) {
    var stop = settings.stop();
    if (stop.greedy() && search.predicted(state.best())) {
      return state.ended("every token of the target is the most probable one");
    }
    if (stop.every() > 0
        && state.step() % stop.every() == 0
        && state.history().getLast().loss() < stop.below()
        && cases.stream().allMatch(asked -> complied(asked, state.history().getLast().best()))) {
      return state.ended("the model complied");
    }
    return state;
  }

  private boolean complied(AttackCase asked, String string) {
    return time.time(
        Part.EVALUATION,
        () ->
            judge.judge(asked.asked(), answer(asked, string, settings.stop().newTokens()))
                == Outcome.COMPLY);
  }

  /** The model's own answer to a request with a string, tokenized as text, decoded greedily. */
  public String answer(AttackCase asked, String string, int newTokens) {
    return asked.answer(model, chat, asked.with(string), newTokens);
  }

  @Override
  public void close() {
    allowed.close();
  }
}
