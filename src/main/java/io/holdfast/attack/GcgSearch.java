package io.holdfast.attack;

import io.holdfast.HoldfastException;
import io.holdfast.attack.GcgState.Entry;
import io.holdfast.attack.TimeSplit.Part;
import io.holdfast.kernels.Kernels;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Tokenizer;
import io.holdfast.torch.Scope;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;

/**
 * The steps of one search: gradient, candidates, their losses, the best one. A step is a function
 * of its state alone.
 */
public final class GcgSearch implements AutoCloseable {
  /** nanoGCG fills its buffer with these at first. */
  private static final String INITIAL = ". , ! ? ; : ( ) [ ] { } @ # $ % & * w x y z";

  private final GcgSettings settings;
  private final Tokenizer tokenizer;
  private final List<AttackPrompt> prompts;
  private final List<TokenGradient> gradients = new ArrayList<>();
  private final List<CandidateScorer> scorers = new ArrayList<>();
  private final List<GreedyCheck> checks = new ArrayList<>();
  private final CandidateSampler sampler;
  private final Retokenization filter;
  private final Optional<ProbeSampling> probe;
  private final TimeSplit time;
  private final String name;

  GcgSearch(
      Decoder model,
      ChatTokenizer chat,
      Kernels kernels,
      GcgSettings settings,
      AllowedTokens allowed,
      Optional<Gcg.Draft> draft,
      List<AttackCase> cases,
      TimeSplit time) {
    this.settings = settings;
    this.tokenizer = chat.tokenizer();
    this.time = time;
    this.prompts = cases.stream().map(asked -> asked.prompt(chat)).toList();
    this.name = prompts.getFirst().id();
    for (var prompt : prompts) {
      gradients.add(new TokenGradient(model, kernels, prompt, settings.loss()));
      scorers.add(
          new CandidateScorer(model, kernels, prompt, settings.loss(), settings.batchTokens()));
      checks.add(new GreedyCheck(model, prompt));
      prompt.requireFits(model.architecture(), initial().length);
    }
    this.sampler = new CandidateSampler(settings.search(), allowed);
    this.filter = new Retokenization(tokenizer, settings.search().filter(), prompts);
    this.probe =
        settings
            .probe()
            .map(
                constants ->
                    new ProbeSampling(
                        constants, draft.orElseThrow(), kernels, cases, settings, tokenizer));
  }

  private int[] initial() {
    return tokenizer.encode(settings.init(), false);
  }

  /**
   * The beginning of the search: the initial string, and in a larger buffer random ones of its
   * length.
   */
  public GcgState start() {
    var strings = new ArrayList<int[]>();
    strings.add(initial());
    if (strings.getFirst().length == 0) {
      throw HoldfastException.usage("the initial string has no tokens; give one, such as 'x x x'");
    }
    int[] some = tokenizer.encode(INITIAL, false);
    var random = random(-1);
    for (int i = 1; i < settings.bufferSize(); i++) {
      strings.add(
          IntStream.range(0, strings.getFirst().length)
              .map(t -> some[random.nextInt(some.length)])
              .toArray());
    }
    return from(strings);
  }

  /** A search that goes on from strings of tokens. */
  public GcgState from(List<int[]> strings) {
    double[] losses = losses(new int[0], strings);
    return GcgState.start(
        IntStream.range(0, losses.length)
            .mapToObj(i -> new Entry(losses[i], strings.get(i)))
            .toList());
  }

  /**
   * One step.
   *
   * @throws HoldfastException if no candidate becomes the same tokens again
   */
  public GcgState step(GcgState state) {
    int[] string = state.best();
    var random = random(state.step());
    int[][] best = time.time(Part.GRADIENT, () -> promising(string));
    var drawn = time.time(Part.SAMPLING, () -> sampler.draw(string, best, random));
    var candidates = time.time(Part.FILTER, () -> surviving(drawn, state));
    var found = time.time(Part.FORWARD, () -> best(string, candidates, random));
    var next = state.after(found, settings.bufferSize());
    var text = tokenizer.decode(next.best(), false);
    return next.with(new GcgState.Step(found.loss(), text, candidates.size()));
  }

  /** Tokens that the gradient promises most of. */
  private int[][] promising(int[] string) {
    try (var scope = Scope.open()) {
      return sampler.best(gradient(string));
    }
  }

  /**
   * The gradient by the one-hot vectors of a string; that of several prompts is the sum of theirs,
   * each position's divided by its norm first (llm-attacks).
   *
   * @return float32 {@code [string, V]}
   */
  Tensor gradient(int[] string) {
    if (gradients.size() == 1) {
      return gradients.getFirst().at(string);
    }
    Tensor sum = null;
    for (var gradient : gradients) {
      var one = gradient.at(string);
      var unit = one.div(one.norm(new ScalarOptional(new Scalar(2)), new long[] {1}, true));
      sum = sum == null ? unit : sum.add_(unit);
    }
    return sum;
  }

  private List<int[]> surviving(List<int[]> drawn, GcgState state) {
    var surviving = filter.survivors(drawn);
    if (!surviving.isEmpty()) {
      return surviving;
    }
    if (settings.search().keepAllIfNone()) {
      return drawn;
    }
    throw HoldfastException.input(
        "case %s, step %d: none of %d candidates becomes the same tokens again when decoded and"
            + " encoded, and so none could be sent as text; begin with another string than '%s', or"
            + " turn the filter off",
        name, state.step() + 1, drawn.size(), tokenizer.decode(state.best(), false));
  }

  private Entry best(int[] parent, List<int[]> candidates, SplittableRandom random) {
    if (probe.isPresent()) {
      return probe.get().best(candidates, some -> losses(parent, some), random);
    }
    return best(candidates, losses(parent, candidates));
  }

  static Entry best(List<int[]> candidates, double[] losses) {
    int best = 0;
    for (int i = 1; i < losses.length; i++) {
      best = losses[i] < losses[best] ? i : best;
    }
    return new Entry(losses[best], candidates.get(best));
  }

  /** Losses of strings, the mean over all prompts. */
  double[] losses(int[] parent, List<int[]> strings) {
    var sums = new double[strings.size()];
    for (var scorer : scorers) {
      double[] losses = scorer.losses(parent, strings);
      for (int i = 0; i < sums.length; i++) {
        sums[i] += losses[i] / scorers.size();
      }
    }
    time.evaluated(strings.size());
    return sums;
  }

  /** Whether every token of every target is the most probable one under a string. */
  boolean predicted(int[] string) {
    return time.time(
        Part.EVALUATION, () -> checks.stream().allMatch(check -> check.predicted(string)));
  }

  /** The draws of a step, whatever was drawn before it. */
  private SplittableRandom random(int step) {
    long seed = new SplittableRandom(settings.seed() + 31L * name.hashCode()).nextLong();
    return new SplittableRandom(new SplittableRandom(seed + step).nextLong());
  }

  @Override
  public void close() {
    scorers.forEach(CandidateScorer::close);
    probe.ifPresent(ProbeSampling::close);
  }
}
