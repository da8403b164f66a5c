package io.holdfast.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.eval.Case;
import io.holdfast.eval.Outcome;
import io.holdfast.eval.Prompt;
import io.holdfast.geometry.Basis;
import io.holdfast.geometry.Carrier;
import io.holdfast.geometry.ConeRow;
import io.holdfast.geometry.ConeTraining;
import io.holdfast.geometry.ConeTraining.Settings;
import io.holdfast.geometry.DirectionSelection.Candidate;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.Progress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Predicate;
import picocli.CommandLine.Option;

/** {@code --method trained}: directions found by gradient descent, beside the mean difference. */
final class TrainedDirections {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Where training begins. */
  private enum Start {
    /** Anywhere. */
    RANDOM,
    /** The mean difference that was chosen. */
    MEAN
  }

  @Option(
      names = "--start",
      paramLabel = "S",
      description =
          "With --method trained: where the first direction begins, random or mean (default:"
              + " random).")
  private Start start;

  @Option(
      names = "--epochs",
      paramLabel = "N",
      description = "With --method trained: passes over the prompts (default: 1).")
  private Integer epochs;

  @Option(
      names = "--lr",
      paramLabel = "RATE",
      description = "With --method trained: the rate of learning (default: 0.01).")
  private Double rate;

  @Option(
      names = "--samples",
      paramLabel = "N",
      description =
          "With --method trained: random points inside the cone a step, beside its edges (default:"
              + " 8).")
  private Integer samples;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "With --method trained: of the start, the order and the points (default: 1).")
  private Long seed;

  /**
   * What was found.
   *
   * @param candidates each direction and the cone's axis, judged as mean differences are
   * @param about how it was trained
   */
  record Found(Basis basis, List<Candidate> candidates, ObjectNode about) {}

  /** Throws if one of these options is given to a method that does not train. */
  void requireNone() {
    var given = new ArrayList<String>();
    given.add(start == null ? null : "--start");
    given.add(epochs == null ? null : "--epochs");
    given.add(rate == null ? null : "--lr");
    given.add(samples == null ? null : "--samples");
    given.add(seed == null ? null : "--seed");
    given.removeIf(Objects::isNull);
    if (!given.isEmpty()) {
      throw HoldfastException.usage("%s: is for --method trained", given.getFirst());
    }
  }

  /** The settings, checked. */
  Settings settings(int rank) {
    var paper = Settings.PAPER;
    var asked =
        new Settings(
            rank,
            rate == null ? paper.rate() : rate,
            paper.batch(),
            epochs == null ? paper.epochs() : epochs,
            samples == null ? paper.samples() : samples,
            paper.patience(),
            paper.reductions(),
            seed == null ? paper.seed() : seed);
    if (asked.epochs() < 1) {
      throw HoldfastException.usage("--epochs: must be at least 1, is %d", asked.epochs());
    }
    if (asked.samples() < 0) {
      throw HoldfastException.usage("--samples: must not be negative, is %d", asked.samples());
    }
    if (!(asked.rate() > 0)) {
      throw HoldfastException.usage("--lr: must be positive, is %s", asked.rate());
    }
    return asked;
  }

  /**
   * Trains directions from the mean difference that the selection chooses, on the prompts that it
   * was made from, and judges them by those held out.
   *
   * @throws HoldfastException if no mean difference passes, or it gives no answers to train on
   */
  Found fit(
      Decoder model,
      ChatTokenizer chat,
      ContrastOption contrast,
      ContrastOption.Contrast classes,
      SelectionOption selection,
      SelectionOption.Judged judged,
      Settings settings,
      Progress.Style style) {
    var chosen = judged.chosen();
    var carrier = judged.carrier(chosen);
    var rows =
        ConeRow.of(
            model,
            OwnAnswers.promptsOf(selection.made(classes.refused())),
            OwnAnswers.promptsOf(selection.made(classes.answered())),
            carrier,
            chosen.layer(),
            chat.tokenizer().endOfText(),
            refuses(chat, contrast));
    var begin = start == Start.MEAN ? Optional.of(carrier.unit()) : Optional.<double[]>empty();
    ConeTraining.Result result;
    int[] done = {0};
    int steps = ConeTraining.steps(settings, rows.size());
    try (var progress = Progress.start("train directions", steps, style)) {
      result =
          ConeTraining.run(
              model,
              chosen.layer(),
              carrier.norm(),
              rows,
              begin,
              settings,
              step -> progress.at(++done[0], "loss %.4f".formatted(step.loss())));
    }
    var all = new ArrayList<Candidate>();
    named(result.basis())
        .forEach(
            (name, unit) ->
                all.add(
                    judged
                        .judge()
                        .judge(name, chosen.layer(), new Carrier(unit).times(carrier.norm()))));
    return new Found(result.basis(), all, about(chosen, carrier, rows.size(), settings, result));
  }

  private static Predicate<int[]> refuses(ChatTokenizer chat, ContrastOption contrast) {
    var phrases = contrast.phraseList();
    var unasked = new Case(new Prompt("", List.of()), Optional.empty(), Map.of());
    return answer ->
        phrases.judge(unasked, chat.tokenizer().decode(answer, true)) == Outcome.REFUSE;
  }

  /** Each direction, and of a cone the one in its middle. */
  private static Map<String, double[]> named(Basis basis) {
    var named = new LinkedHashMap<String, double[]>();
    for (int i = 0; i < basis.rank(); i++) {
      named.put("trained " + (i + 1), basis.vectors()[i]);
    }
    if (basis.rank() > 1) {
      var axis = new double[basis.width()];
      for (double[] vector : basis.vectors()) {
        Arrays.setAll(axis, j -> axis[j] + vector[j]);
      }
      named.put("trained axis", new Carrier(axis).unit());
    }
    return named;
  }

  private ObjectNode about(
      Candidate chosen, Carrier carrier, int rows, Settings settings, ConeTraining.Result result) {
    var about = JSON.createObjectNode();
    about.put("position", chosen.position()).put("layer", chosen.layer());
    about.put("norm", carrier.norm()).put("rows", rows);
    about.put("start", (start == null ? Start.RANDOM : start).name().toLowerCase(Locale.ROOT));
    about.set("settings", JSON.valueToTree(settings));
    var cosines = about.putArray("cosine_to_mean");
    for (double[] vector : result.basis().vectors()) {
      cosines.add(new Carrier(vector).cosine(carrier));
    }
    about.set("steps", JSON.valueToTree(result.steps()));
    return about;
  }
}
