package io.holdfast.train;

import io.holdfast.HoldfastException;
import io.holdfast.attack.AttackCase;
import io.holdfast.attack.AttackCases;
import io.holdfast.attack.AttackPrompt;
import io.holdfast.attack.Gcg;
import io.holdfast.attack.GcgSettings;
import io.holdfast.attack.GcgSettings.Filter;
import io.holdfast.attack.GcgSettings.Positions;
import io.holdfast.attack.GcgSettings.Search;
import io.holdfast.data.Example;
import io.holdfast.data.Place;
import io.holdfast.guard.Guard;
import io.holdfast.guard.Tuning;
import io.holdfast.kernels.Kernels;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.config.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Tensor;

/**
 * Robust refusal dynamic defence (R2D2, Mazeika et al. 2024), a reimplementation from its public
 * description: beside the rows of the run, the model learns in every step to refuse some test cases
 * of a pool, whose strings GCG improves against the model as it is now.
 *
 * <pre>L = L_clean + away_weight L_away + toward_weight L_toward</pre>
 */
final class R2d2 implements Guard {
  private final Method.R2d2 settings;
  private final ChatTokenizer chat;
  private final Kernels kernels;
  private final long seed;
  private final List<AttackCase> cases;
  private final List<AttackPrompt> prompts;
  private final int[] refusal;
  private final TestCasePool pool;
  private final Map<String, Double> metrics = new LinkedHashMap<>();
  private Tuning tuning;
  private Gcg gcg;

  R2d2(Method.R2d2 settings, ChatTokenizer chat, Kernels kernels, long seed) {
    this.settings = settings;
    this.chat = chat;
    this.kernels = kernels;
    this.seed = seed;
    this.cases = AttackCases.read(settings.cases(), settings.targets(), settings.target());
    this.prompts = cases.stream().map(one -> one.prompt(chat)).toList();
    this.refusal = refusal(chat, settings.refusal());
    var beginnings =
        IntStream.rangeClosed(settings.repetitions().get(0), settings.repetitions().get(1))
            .mapToObj(times -> chat.tokenizer().encode(" !".repeat(times), false))
            .toList();
    this.pool = new TestCasePool(settings.pool(), cases.size(), beginnings, seed);
  }

  /** The answer to learn, with the token that ends it. */
  private static int[] refusal(ChatTokenizer chat, String text) {
    var ends = chat.tokenizer().endOfText();
    if (ends.isEmpty()) {
      throw HoldfastException.input(
          "%s: no token ends an answer (eos_token), and so a refusal cannot be learnt whole",
          chat.tokenizer().folder());
    }
    int[] ids = chat.tokenizer().encode(text, false);
    int end = chat.tokenizer().eosId().orElse(ends.first());
    int[] whole = Arrays.copyOf(ids, ids.length + 1);
    whole[ids.length] = end;
    return whole;
  }

  @Override
  public String name() {
    return "R2D2: L = L_clean + %s L_away + %s L_toward, L_away = -mean log(1 - p) where log p >= %s"
        .formatted(settings.awayWeight(), settings.towardWeight(), settings.awayFloor());
  }

  @Override
  public void begin(Tuning run) {
    this.tuning = run;
    int longest = (int) pool.tensor().size(1) - 2;
    prompts.forEach(prompt -> prompt.requireFits(run.model().architecture(), longest));
    var search =
        new Search(
            settings.width(),
            settings.topk(),
            1,
            Positions.EVEN,
            Filter.NONE,
            true,
            false,
            Set.of());
    this.gcg =
        new Gcg(run.model(), chat, kernels, GcgSettings.nanoGcg().with(search).withSeed(seed));
  }

  /** Attacks, then adds the gradients of the two losses to those of the rows. */
  @Override
  public void beforeUpdate() {
    long step = tuning.steps();
    var slots = pool.draw(step, settings.update());
    double attacked = 0;
    for (int slot : slots) {
      attacked += attack(slot, step) / slots.size();
    }
    var examples =
        Stream.concat(
                slots.stream().map(slot -> example(slot, prompt(slot).target())),
                slots.stream().map(slot -> example(slot, refusal)))
            .toList();
    var loss =
        new AwayToward(
            kernels,
            tuning.model(),
            slots.size(),
            settings.awayWeight(),
            settings.towardWeight(),
            settings.awayFloor());
    tuning.backward(examples, loss);
    metrics.put("r2d2_away", loss.away());
    metrics.put("r2d2_toward", loss.toward());
    metrics.put("r2d2_attack_loss", attacked);
    if (settings.resetEvery() > 0 && (step + 1) % settings.resetEvery() == 0) {
      pool.reset(step, settings.resetShare());
    }
  }

  /** Improves the string of a slot; returns the loss of the target under it. */
  private double attack(int slot, long step) {
    var testCase = pool.get(slot);
    // Every attack of a run has draws of its own.
    long draws = seed + 1 + step * pool.size() + slot;
    try (var search = gcg.search(List.of(cases.get(testCase.request())), draws)) {
      var state = search.from(List.of(testCase.string()));
      for (int i = 0; i < settings.gcgSteps(); i++) {
        state = search.step(state);
      }
      pool.put(slot, new TestCasePool.TestCase(testCase.request(), state.best()));
      return state.buffer().getFirst().loss();
    }
  }

  private AttackPrompt prompt(int slot) {
    return prompts.get(pool.get(slot).request());
  }

  /** A test case with an answer, of which every token is learnt. */
  private Example example(int slot, int[] answer) {
    var prompt = prompt(slot);
    var ids = new ArrayList<Integer>();
    for (int[] part :
        new int[][] {prompt.before(), pool.get(slot).string(), prompt.after(), answer}) {
      Arrays.stream(part).forEach(ids::add);
    }
    int promptEnd = ids.size() - answer.length - 1;
    var target = new boolean[ids.size()];
    Arrays.fill(target, promptEnd + 1, target.length, true);
    return new Example(
        prompt.id(),
        ids.stream().mapToInt(Integer::intValue).toArray(),
        target,
        -1,
        promptEnd,
        Float.NaN,
        new Place(settings.cases(), pool.get(slot).request() + 1L));
  }

  @Override
  public Map<String, Tensor> state() {
    return Map.of("r2d2_pool", pool.tensor());
  }

  @Override
  public Map<String, Double> metrics() {
    return new LinkedHashMap<>(metrics);
  }

  @Override
  public void close() {
    pool.close();
    if (gcg != null) {
      gcg.close();
    }
  }
}
