package io.holdfast.attack;

import io.holdfast.HoldfastException;
import io.holdfast.attack.GcgState.Step;
import io.holdfast.attack.TimeSplit.Part;
import io.holdfast.eval.Case;
import io.holdfast.eval.Judge;
import io.holdfast.eval.Outcome;
import io.holdfast.eval.Prompt;
import io.holdfast.kernels.Kernels;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.Predicate;
import java.util.stream.IntStream;

/**
 * AutoDAN (Liu et al. 2023): a population of readable prompts that is bred towards those under
 * which a model says the target. Prompts stand before the request, or hold it at {@value #REQUEST}.
 */
public final class AutoDan implements AttackRun.Method<AutoDanState> {
  /** Where a prompt says the request. */
  public static final String REQUEST = "[REPLACE]";

  private final Decoder model;
  private final ChatTokenizer chat;
  private final Kernels kernels;
  private final AutoDanSettings settings;
  private final Breeding breeding;
  private final Judge judge;
  private final int newTokens;
  private final TimeSplit time = new TimeSplit();

  /**
   * A search of a model.
   *
   * @param references the initial prompts, at least one
   * @param synonyms words that HGA may put for one another
   * @param newTokens length of the answers to what was found
   */
  public AutoDan(
      Decoder model,
      ChatTokenizer chat,
      Kernels kernels,
      AutoDanSettings settings,
      List<String> references,
      Synonyms synonyms,
      Judge judge,
      int newTokens) {
    this.model = model;
    this.chat = chat;
    this.kernels = kernels;
    this.settings = settings;
    this.breeding = new Breeding(settings, List.copyOf(references), synonyms);
    this.judge = judge;
    this.newTokens = newTokens;
  }

  /** The whole request that a prompt makes of a case. */
  static String request(String prompt, AttackCase asked) {
    return prompt.contains(REQUEST)
        ? prompt.replace(REQUEST, asked.request())
        : prompt.strip() + " " + asked.request();
  }

  /** A search before its first step: the references, as often as the population needs them. */
  AutoDanState start() {
    var references = breeding.references();
    var population =
        IntStream.range(0, settings.population())
            .mapToObj(i -> references.get(i % references.size()))
            .toList();
    return new AutoDanState(0, population, Map.of(), List.of(), "");
  }

  @Override
  public AutoDanState search(
      List<AttackCase> group, Optional<AutoDanState> from, Predicate<AutoDanState> goOn) {
    if (group.size() != 1) {
      throw new IllegalArgumentException("AutoDAN searches for one case at a time");
    }
    var asked = group.getFirst();
    try (var scorer = scorer(asked)) {
      var state = from.orElseGet(this::start);
      while (!over(state)) {
        state = stopped(step(asked, scorer, state), asked);
        if (!goOn.test(state)) {
          break;
        }
      }
      return state;
    }
  }

  private CandidateScorer scorer(AttackCase asked) {
    var turns = new ArrayList<>(asked.asked().prompt().turns());
    var last = turns.removeLast();
    turns.add(new Prompt.Turn(last.role(), AttackPrompt.PLACEHOLDER));
    var whole =
        new AttackCase(
            new Case(new Prompt(asked.id(), turns), Optional.empty(), Map.of()), asked.target());
    var prompt = whole.prompt(chat);
    prompt.requireFits(model.architecture(), 1);
    return new CandidateScorer(
        model, kernels, prompt, new TargetLoss.CrossEntropy(), settings.batchTokens());
  }

  private AutoDanState step(AttackCase asked, CandidateScorer scorer, AutoDanState state) {
    var population = state.population();
    double[] losses = time.time(Part.FORWARD, () -> losses(asked, scorer, population));
    int best =
        IntStream.range(0, losses.length)
            .boxed()
            .min(Comparator.comparingDouble(i -> losses[i]))
            .orElseThrow();
    if (Double.isInfinite(losses[best])) {
      throw HoldfastException.input(
          "case %s: every prompt of the population is longer than the %d tokens that the model was"
              + " made for; give shorter initial prompts",
          asked.id(), model.architecture().maxPositions());
    }
    var random = random(asked.id(), state.step());
    var done = new Step(losses[best], population.get(best), population.size());
    return time.time(Part.SAMPLING, () -> bred(state, losses, done, random));
  }

  private AutoDanState bred(
      AutoDanState state, double[] losses, Step done, SplittableRandom random) {
    var population = state.population();
    boolean sentences =
        settings.method() == AutoDanSettings.Method.GA
            || state.step() % settings.sentencesEvery() == 0;
    if (sentences) {
      return state.after(breeding.generation(population, losses, random), state.words(), done);
    }
    var words = breeding.scored(state.words(), population, losses);
    var next = new ArrayList<>(Breeding.best(population, losses, settings.elite()));
    Breeding.best(population, losses, population.size()).stream()
        .skip(next.size())
        .forEach(prompt -> next.add(breeding.reworded(prompt, words, random)));
    return state.after(next, words, done);
  }

  /** Losses of prompts; infinite where one is longer than the model was made for. */
  private double[] losses(AttackCase asked, CandidateScorer scorer, List<String> population) {
    var distinct = population.stream().distinct().toList();
    var ids = new ArrayList<int[]>();
    var places = new ArrayList<String>();
    for (var prompt : distinct) {
      int[] tokens = chat.tokenizer().encode(request(prompt, asked), false);
      if (scorer.fits(tokens.length)) {
        ids.add(tokens);
        places.add(prompt);
      }
    }
    time.evaluated(ids.size());
    double[] found = ids.isEmpty() ? new double[0] : scorer.losses(new int[0], ids);
    return population.stream()
        .mapToDouble(
            prompt -> {
              int at = places.indexOf(prompt);
              return at < 0 ? Double.POSITIVE_INFINITY : found[at];
            })
        .toArray();
  }

  private AutoDanState stopped(AutoDanState state, AttackCase asked) {
    if (settings.evaluateEvery() == 0 || state.step() % settings.evaluateEvery() != 0) {
      return state;
    }
    var best = best(state).best();
    var text =
        time.time(
            Part.EVALUATION,
            () -> asked.answer(model, chat, request(best, asked), settings.newTokens()));
    return judge.judge(asked.asked(), text) == Outcome.COMPLY
        ? state.ended("the model complied")
        : state;
  }

  private static Step best(AutoDanState state) {
    return state.history().stream().min(Comparator.comparingDouble(Step::loss)).orElseThrow();
  }

  private SplittableRandom random(String id, int step) {
    long seed = new SplittableRandom(settings.seed() + 31L * id.hashCode()).nextLong();
    return new SplittableRandom(new SplittableRandom(seed + step).nextLong());
  }

  @Override
  public Class<AutoDanState> stateType() {
    return AutoDanState.class;
  }

  @Override
  public int steps(AutoDanState state) {
    return state.step();
  }

  @Override
  public double loss(AutoDanState state) {
    return state.history().getLast().loss();
  }

  @Override
  public boolean over(AutoDanState state) {
    return state.over() || state.step() >= settings.steps();
  }

  @Override
  public List<Found> found(List<AttackCase> group, AutoDanState state) {
    var asked = group.getFirst();
    var best = best(state);
    var testCase = request(best.best(), asked);
    var text = asked.answer(model, chat, testCase, newTokens);
    return List.of(
        new Found(
            asked.id(),
            testCase,
            best.best(),
            best.loss(),
            state.step(),
            state.ended(),
            text,
            judge.judge(asked.asked(), text)));
  }

  @Override
  public Optional<TimeSplit> time() {
    return Optional.of(time);
  }
}
