package io.holdfast.train;

import io.holdfast.data.Example;
import io.holdfast.model.Decoder;
import io.holdfast.risk.Critic;
import io.holdfast.risk.Exchange;
import io.holdfast.risk.RiskPredictor;
import io.holdfast.risk.RowRisks;
import io.holdfast.text.Tokenizer;
import io.holdfast.train.config.GuardConfig;
import io.holdfast.train.config.GuardConfig.RowWeight;
import io.holdfast.train.config.RiskConfig;
import io.holdfast.train.config.RiskConfig.Critic.When;
import io.holdfast.train.config.TrainConfig;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * From the risk of a configuration to rows that have one: before the run, just before a step, or on
 * the way of the forward pass.
 */
final class RiskAssembly implements AutoCloseable {
  private final TrainConfig config;
  private final Source source;
  private final Decoder reference;
  private final Tokenizer tokenizer;
  private final Progress.Style style;

  /** A source, ready to be asked. */
  private sealed interface Source {
    /** Rows have their risk, or need none. */
    record Recorded() implements Source {}

    record Constant(float value) implements Source {}

    /**
     * Read from activations.
     *
     * @param inPass whether in the forward pass of training, else once before it
     */
    record Probe(RiskPredictor predictor, boolean inPass) implements Source {}

    record Judge(Critic critic, boolean onTheFly) implements Source {}
  }

  private RiskAssembly(
      TrainConfig config,
      Source source,
      Decoder reference,
      Tokenizer tokenizer,
      Progress.Style style) {
    this.config = config;
    this.source = source;
    this.reference = reference;
    this.tokenizer = tokenizer;
    this.style = style;
  }

  /**
   * Opens the source of a configuration.
   *
   * @param model what is trained; nothing of it has moved yet
   * @param tokenizer of the rows, for a critic to read them
   */
  static RiskAssembly of(
      TrainConfig config,
      String modelHash,
      TunedModel model,
      Tokenizer tokenizer,
      Progress.Style style) {
    var reference = model.reference().decoder();
    var source = config.guard().riskSource().orElse(null);
    boolean ahead = config.guard().riskControl().isPresent();
    var opened =
        switch (source) {
          case null -> new Source.Recorded();
          case RiskConfig.Recorded _ -> new Source.Recorded();
          case RiskConfig.Constant(double value) -> new Source.Constant((float) value);
          case RiskConfig.Probe probe -> {
            var predictor =
                RiskPredictor.load(probe.predictor(), modelHash, reference).hard(probe.hard());
            yield new Source.Probe(predictor, !ahead && shared(config, model, predictor.layer()));
          }
          case RiskConfig.Critic critic ->
              new Source.Judge(
                  critic.open(config.output().resolve("guard").resolve("critic-scores.jsonl")),
                  !ahead && critic.when() == When.ON_THE_FLY);
        };
    return new RiskAssembly(config, opened, reference, tokenizer, style);
  }

  /**
   * Whether training sees at this layer what the reference does, and no guard must know a row's
   * risk before the pass.
   */
  private static boolean shared(TrainConfig config, TunedModel model, int layer) {
    boolean early =
        config
            .guard()
            .subspace()
            .filter(s -> s.weighsByRisk() || s.taskWeight() == RowWeight.ONE_MINUS_RISK)
            .isPresent();
    return !early && config.adapter().isEmpty() && !model.decoder().trainedBefore()[layer];
  }

  /** The rows, with their risk where it is known before training. */
  List<Example> rows(List<Example> examples) {
    var risky =
        switch (source) {
          case Source.Recorded() -> examples;
          case Source.Constant(float value) -> {
            var risks = new float[examples.size()];
            Arrays.fill(risks, value);
            yield RowRisks.with(examples, risks);
          }
          case Source.Probe(var predictor, boolean inPass) ->
              inPass ? examples : RowRisks.with(examples, predictor.risks(reference, examples));
          case Source.Judge(var critic, boolean onTheFly) ->
              onTheFly ? examples : RowRisks.with(examples, rated(critic, examples));
        };
    if (config.guard().riskControl().isEmpty()) {
      return risky;
    }
    var risks = new float[risky.size()];
    for (int i = 0; i < risks.length; i++) {
      risks[i] = risky.get(i).risk();
    }
    return RowRisks.with(examples, RowRisks.shuffled(risks, config.seed()));
  }

  private float[] rated(Critic critic, List<Example> examples) {
    var risks = new float[examples.size()];
    int[] done = {0};
    try (var progress = Progress.start("risk", risks.length, style)) {
      critic
          .rate(examples.stream().map(example -> Exchange.of(example, tokenizer)))
          .forEachOrdered(
              verdict -> {
                risks[done[0]++] = verdict.risk();
                progress.at(done[0], "");
              });
    }
    return risks;
  }

  /** What happens to the risks on the way to the guards. */
  RowRisks flow() {
    double smoothing = config.guard().riskSmoothing();
    return switch (source) {
      case Source.Probe(var predictor, boolean inPass) when inPass ->
          new RowRisks(smoothing, predictor);
      case Source.Judge(var critic, boolean onTheFly) when onTheFly ->
          new RowRisks(smoothing, new OnTheFly(critic, tokenizer));
      default -> new RowRisks(smoothing);
    };
  }

  private record OnTheFly(Critic critic, Tokenizer tokenizer) implements RowRisks.Assessor {
    @Override
    public float[] assess(List<Example> rows) {
      var risks = new float[rows.size()];
      int[] done = {0};
      critic
          .rate(rows.stream().map(row -> Exchange.of(row, tokenizer)))
          .forEachOrdered(verdict -> risks[done[0]++] = verdict.risk());
      return risks;
    }

    @Override
    public long failed() {
      return critic.report().failed();
    }
  }

  /** The source in words, for the manifest. */
  Optional<String> name() {
    var guard = config.guard();
    return guard
        .riskSource()
        .map(
            configured ->
                switch (configured) {
                  case RiskConfig.Recorded(String column) -> "recorded as " + column;
                  case RiskConfig.Constant(double value) -> "constant " + value;
                  case RiskConfig.Probe _ -> probe();
                  case RiskConfig.Critic critic ->
                      "critic " + critic.model() + judged((Source.Judge) source);
                })
        .map(name -> name + (guard.riskControl().isPresent() ? ", shuffled" : ""))
        .map(name -> name + (guard.riskSmoothing() == 0 ? "" : average(guard)));
  }

  private static String average(GuardConfig guard) {
    return ", moving average " + guard.riskSmoothing();
  }

  private String probe() {
    var probe = (Source.Probe) source;
    return probe.predictor().name()
        + (probe.inPass() ? ", read in the pass of training" : ", read once before training");
  }

  private static String judged(Source.Judge judge) {
    return judge.onTheFly() ? ", asked before each step" : "; " + judge.critic().report().summary();
  }

  @Override
  public void close() {
    if (source instanceof Source.Judge(var critic, _)) {
      if (style != Progress.Style.NONE) {
        System.err.println("holdfast: " + critic.report().summary());
      }
      critic.close();
    }
  }
}
