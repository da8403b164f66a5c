package io.holdfast.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import io.holdfast.HoldfastException;
import io.holdfast.data.Example;
import io.holdfast.geometry.Carrier;
import io.holdfast.geometry.DirectionSelection;
import io.holdfast.geometry.DirectionSelection.Candidate;
import io.holdfast.geometry.PromptReadout;
import io.holdfast.geometry.Reading;
import io.holdfast.geometry.RefusalScore;
import io.holdfast.geometry.RefusalTrial.Limits;
import io.holdfast.geometry.States;
import io.holdfast.model.Decoder;
import io.holdfast.report.Table;
import io.holdfast.text.ChatTokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import picocli.CommandLine.Option;

/** {@code --select}: the filters by which a refusal direction is chosen. */
final class SelectionOption {
  private static final ObjectMapper JSON = new ObjectMapper();

  @Option(
      names = "--select",
      description =
          "Judge the mean difference of every layer and position by what ablating and adding it"
              + " does to refusals, on prompts held out of the fit (Arditi et al. 2024). --layers"
              + " selected keeps the layers at which one passes.")
  private boolean select;

  @Option(
      names = "--refusal-tokens",
      paramLabel = "IDS",
      split = ",",
      description =
          "Tokens with which refusals begin; if not given, those of the model's own refusals.")
  private int[] refusalTokens = new int[0];

  @Option(
      names = "--held-out",
      paramLabel = "N",
      description =
          "Prompts of each class that are judged by, at most a quarter (default:"
              + " ${DEFAULT-VALUE}).")
  private int heldOut = 32;

  @Option(
      names = "--max-divergence",
      paramLabel = "NATS",
      description = "Largest KL on benign prompts under ablation (default: ${DEFAULT-VALUE}).")
  private double maxDivergence = Limits.PAPER.divergence();

  @Option(
      names = "--min-induce",
      paramLabel = "SCORE",
      description =
          "Smallest refusal score of benign prompts under addition (default: ${DEFAULT-VALUE}).")
  private double minInduce = Limits.PAPER.induce();

  @Option(
      names = "--deepest",
      paramLabel = "SHARE",
      description =
          "Directions are taken from the layers before this share of the depth (default:"
              + " ${DEFAULT-VALUE}).")
  private double deepest = Limits.PAPER.depth();

  /** Whether it is asked for by name. */
  boolean isAsked() {
    return select;
  }

  /** The first of a class, which directions are made from. */
  List<Example> made(List<Example> prompts) {
    return prompts.subList(0, prompts.size() - held(prompts));
  }

  private int held(List<Example> prompts) {
    return Math.clamp(prompts.size() / 4, 1, heldOut);
  }

  private List<Example> judged(List<Example> prompts) {
    return OwnAnswers.promptsOf(prompts.subList(prompts.size() - held(prompts), prompts.size()));
  }

  /**
   * Candidates, and what they were made from and judged by.
   *
   * @param judge with the prompts held out
   * @param refused states that candidates were made from
   * @param answered likewise
   */
  record Judged(
      DirectionSelection judge,
      States refused,
      States answered,
      List<Reading> readings,
      List<Candidate> candidates) {
    /**
     * The candidate that bypasses best.
     *
     * @throws HoldfastException if none passes the filters
     */
    Candidate chosen() {
      return candidates.stream()
          .filter(candidate -> candidate.verdict() == DirectionSelection.Verdict.CHOSEN)
          .findFirst()
          .orElseThrow(SelectionOption::nonePasses);
    }

    /** The mean difference that a candidate is. */
    Carrier carrier(Candidate candidate) {
      int reading = readings.stream().map(Reading::name).toList().indexOf(candidate.position());
      return Carrier.between(
          refused.at(candidate.layer())[reading], answered.at(candidate.layer())[reading]);
    }
  }

  /** Judges all layers up to the last block's input. */
  Judged judge(
      Decoder model,
      ChatTokenizer chat,
      ContrastOption contrast,
      ContrastOption.Contrast classes,
      List<Reading> readings) {
    if (!(deepest > 0 && deepest <= 1)) {
      throw HoldfastException.usage("--deepest: is a share in (0, 1], not %s", deepest);
    }
    if (Math.min(classes.refused().size(), classes.answered().size()) < 4) {
      throw HoldfastException.input(
          "a selection needs four prompts of each class, there are %d and %d",
          classes.refused().size(), classes.answered().size());
    }
    var refused = made(classes.refused());
    var answered = made(classes.answered());
    var layers = IntStream.range(0, model.architecture().depth()).boxed().toList();
    var judge =
        new DirectionSelection(
            model,
            score(model, chat, contrast, refused, answered),
            judged(classes.refused()),
            judged(classes.answered()),
            new Limits(maxDivergence, minInduce, deepest));
    var refusedStates = States.capture(model, refused, layers, readings);
    var answeredStates = States.capture(model, answered, layers, readings);
    var candidates = judge.judge(refusedStates, answeredStates, readings);
    return new Judged(judge, refusedStates, answeredStates, readings, candidates);
  }

  private RefusalScore score(
      Decoder model,
      ChatTokenizer chat,
      ContrastOption contrast,
      List<Example> refused,
      List<Example> answered) {
    if (refusalTokens.length > 0) {
      return new RefusalScore(refusalTokens);
    }
    var both = new ArrayList<>(OwnAnswers.promptsOf(refused));
    both.addAll(OwnAnswers.promptsOf(answered));
    var own = OwnAnswers.of(model, chat, both, contrast.phraseList());
    return RefusalScore.learnt(logits(model, own.refused()), logits(model, own.answered()));
  }

  private static float[][] logits(Decoder model, List<Example> answers) {
    var prompts = OwnAnswers.promptsOf(answers);
    return PromptReadout.of(model, List.of(), prompts, List.of()).logits();
  }

  /** The layers at which a candidate passes. */
  static List<Integer> layers(List<Candidate> candidates) {
    var layers =
        candidates.stream().filter(Candidate::admissible).map(Candidate::layer).distinct().toList();
    if (layers.isEmpty()) {
      throw nonePasses();
    }
    return layers;
  }

  private static HoldfastException nonePasses() {
    return HoldfastException.input(
        "no mean difference passes the filters; see what each scored with --select, and widen"
            + " --max-divergence, --min-induce or --deepest");
  }

  /** Every candidate with its scores. */
  static ArrayNode json(List<Candidate> candidates) {
    var all = JSON.createArrayNode();
    for (var candidate : candidates) {
      var one = all.addObject();
      one.put("position", candidate.position()).put("layer", candidate.layer());
      one.put("norm", candidate.norm());
      one.put("bypass", number(candidate.bypass()));
      one.put("induce", number(candidate.induce()));
      one.put("divergence", number(candidate.divergence()));
      one.put("verdict", name(candidate));
    }
    return all;
  }

  /** JSON knows no NaN. */
  private static Double number(double value) {
    return Double.isFinite(value) ? value : null;
  }

  private static String name(Candidate candidate) {
    return candidate.verdict().name().toLowerCase(Locale.ROOT);
  }

  static String table(List<Candidate> candidates) {
    var rows = new ArrayList<List<String>>();
    for (var candidate : candidates) {
      rows.add(
          List.of(
              candidate.position(),
              String.valueOf(candidate.layer()),
              "%.2f".formatted(candidate.bypass()),
              "%.2f".formatted(candidate.induce()),
              "%.3f".formatted(candidate.divergence()),
              name(candidate)));
    }
    return new Table(
            List.of("position", "layer", "bypass", "induce", "divergence", "verdict"), rows)
        .markdown();
  }
}
