package io.holdfast.cli.study;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.cli.Answers;
import io.holdfast.data.Example;
import io.holdfast.data.ExampleReader;
import io.holdfast.data.RowReader;
import io.holdfast.eval.EvalSuite;
import io.holdfast.geometry.Basis;
import io.holdfast.geometry.CausalCoupling;
import io.holdfast.geometry.Estimate;
import io.holdfast.geometry.Figure;
import io.holdfast.geometry.Interference;
import io.holdfast.geometry.LabelledStates;
import io.holdfast.geometry.LatentGuard;
import io.holdfast.geometry.Measurement;
import io.holdfast.geometry.Quadrants.Reply;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tap;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.config.ProtocolConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.IntPredicate;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Measures one checkpoint: its geometry, its movement from a reference, and its behaviour.
 *
 * @param settings of the measures
 * @param suite that behaviour is measured with
 * @param task rows with answers, for interference
 * @param maxNewTokens of the answers that label prompts
 */
public record MeasureStudy(
    Measurement.Settings settings,
    Optional<EvalSuite> suite,
    List<Example> task,
    int maxNewTokens) {
  private static final int BATCH = 128;

  private static final int LONGEST = 2048;

  private static final int TASK_ROWS = 64;

  /** What a configuration asks for. */
  static MeasureStudy of(
      ProtocolConfig.Measures measures,
      Optional<EvalSuite> suite,
      ChatTokenizer chat,
      int maxNewTokens,
      long seed) {
    var others = Stream.of(1, 3).filter(k -> k < measures.rank()).toList();
    return new MeasureStudy(
        new Measurement.Settings(measures.rank(), others, measures.draws(), seed),
        suite,
        measures.task().map(file -> taskRows(chat, file, TASK_ROWS)).orElse(List.of()),
        maxNewTokens);
  }

  /** The first rows of a file of answered prompts. */
  public static List<Example> taskRows(ChatTokenizer chat, Path file, int limit) {
    var rows = new ArrayList<Example>();
    new ExampleReader(
            new RowReader(chat), ExampleReader.LossOn.COMPLETION, LONGEST, Optional.empty())
        .read(List.of(file), limit, rows::add);
    return List.copyOf(rows);
  }

  /** A model that others are compared with. */
  public record Reference(Decoder model, Observed observed) {}

  /** What was measured. */
  public record Result(ObjectNode json, List<Figure> figures, List<String> flags) {}

  /** Measures a model whose prompts have been observed. */
  public Result measure(
      Decoder model, ChatTokenizer chat, Observed observed, Optional<Reference> reference) {
    var states = observed.states();
    var before =
        reference.map(
            r ->
                new LabelledStates(
                    r.observed().states().labels(), r.observed().states().readout()));
    var measured = Measurement.of(states, before, settings);
    var figures = new ArrayList<>(measured.figures());
    figures.addAll(causal(model, observed, measured));
    figures.addAll(scores(observed));
    figures.addAll(interference(model, observed, reference, measured));
    suite.ifPresent(s -> figures.addAll(behaviour(model, chat, s)));
    var json = StudyFiles.object();
    json.put("width", states.width()).put("prompts", states.labels().size());
    json.put("rank", settings.rank());
    json.put("harm_layer", measured.harmLayer()).put("refusal_layer", measured.refusalLayer());
    json.setAll(StudyFiles.json(observed));
    json.set("figures", StudyFiles.figures(figures));
    return new Result(json, List.copyOf(figures), observed.flags());
  }

  private List<Figure> causal(Decoder model, Observed observed, Measurement measured) {
    var states = observed.states();
    int[] all = states.labels().all();
    return new CausalCoupling(model, observed.prompts(), states, observed.score())
        .figures(
            states.harm(measured.harmLayer(), all).vector(),
            states.refusal(measured.refusalLayer(), all).vector(),
            settings.draws(),
            settings.seed());
  }

  /** Mean refusal scores, and what the latent guards say of the prompts they were made from. */
  private List<Figure> scores(Observed observed) {
    var states = observed.states();
    var labels = states.labels();
    double[] scores = observed.score().of(states.readout().logits());
    var harm = LatentGuard.ofHarm(states, 1);
    var refusal = LatentGuard.ofRefusal(states, 1);
    var figures = new ArrayList<Figure>();
    for (boolean harmful : new boolean[] {true, false}) {
      var who = harmful ? "harmful" : "benign";
      IntPredicate rows = i -> labels.harmful()[i] == harmful;
      mean(figures, "refusal_score_" + who, rows, scores);
      mean(
          figures,
          "latent_harm_" + who,
          rows,
          each(labels.size(), i -> harm.score(states.readout().instructionEnd(), i)));
      mean(
          figures,
          "latent_refusal_" + who,
          rows,
          each(labels.size(), i -> refusal.score(states.readout().promptEnd(), i)));
      mean(
          figures,
          "refused_" + who,
          rows,
          each(labels.size(), i -> observed.own().replies()[i] == Reply.REFUSED ? 1 : 0));
    }
    return figures;
  }

  private static double[] each(int size, IntToDoubleFunction value) {
    return IntStream.range(0, size).mapToDouble(value).toArray();
  }

  private void mean(List<Figure> figures, String name, IntPredicate rows, double[] values) {
    double[] chosen =
        IntStream.range(0, values.length).filter(rows).mapToDouble(i -> values[i]).toArray();
    var estimate =
        Estimate.bootstrap(
            chosen.length,
            drawn -> IntStream.of(drawn).mapToDouble(i -> chosen[i]).average().orElse(0),
            settings.draws(),
            0.95,
            settings.seed());
    figures.add(new Figure(name, Figure.NO_LAYER, estimate, Double.NaN, Double.NaN, Double.NaN));
  }

  private List<Figure> interference(
      Decoder model, Observed observed, Optional<Reference> reference, Measurement measured) {
    var states = observed.states();
    int[] all = states.labels().all();
    int layer = measured.refusalLayer();
    var subspace = states.refusalSpace(layer, all, settings.rank());
    var figures = new ArrayList<Figure>();
    if (!task.isEmpty()) {
      var subspaces = new TreeMap<Integer, Basis>();
      subspaces.put(layer, subspace);
      Interference.of(model, task, subspaces)
          .forEach((slot, shares) -> figures.add(interference(slot, shares)));
      // A checkpoint may refuse nothing: what its start refused is what it should refuse.
      var refusals = reference.map(Reference::observed).orElse(observed).refusals(task.size());
      if (!refusals.isEmpty()) {
        double sign = Interference.ofGradients(model, task, refusals);
        figures.add(Figure.plain("interference_sign", Figure.NO_LAYER, sign, 0));
      }
    }
    reference.ifPresent(
        r ->
            figures.add(
                Figure.plain(
                    "interference_weights",
                    layer,
                    Interference.ofWeights(r.model(), model, subspace),
                    1)));
    return figures;
  }

  /** With its interval over rows of the task. */
  private Figure interference(int slot, Interference.Shares shares) {
    var estimate =
        Estimate.bootstrap(
            shares.all().length, shares::over, settings.draws(), 0.95, settings.seed());
    return new Figure("interference", slot, estimate, Double.NaN, Double.NaN, 1);
  }

  private static List<Figure> behaviour(Decoder model, ChatTokenizer chat, EvalSuite suite) {
    var report = suite.run(new Answers(model, Tap.NONE, chat, suite.maxNewTokens(), BATCH));
    var figures = new ArrayList<Figure>();
    Effect.shares(suite, report)
        .forEach(
            (name, rate) ->
                figures.add(
                    new Figure(
                        name,
                        Figure.NO_LAYER,
                        new Estimate(rate.value(), rate.low(), rate.high()),
                        Double.NaN,
                        Double.NaN,
                        Double.NaN)));
    return figures;
  }
}
