package io.holdfast.geometry;

import io.holdfast.data.Example;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.LengthBatches;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * What an intervention does to refusals, judged before anything is generated under it (Arditi et
 * al. 2024, section 2.3 and appendix C): how likely the first token of the answer begins a refusal,
 * and how far the distribution of the next token moves. The latter is the first token's alone, as
 * in the paper, or, where prompts come with a beginning of the model's usual answer, the mean over
 * that too: an edit of every token may keep the first and break those behind it.
 */
public final class RefusalTrial {
  private static final LengthBatches BATCHES = new LengthBatches(16, 4096);

  private final Decoder model;
  private final RefusalScore score;
  private final List<Example> harmful;
  private final List<Example> benign;

  /**
   * When an intervention is discarded.
   *
   * @param divergence largest KL on benign prompts, nats
   * @param induce smallest refusal score of benign prompts under an addition
   * @param depth share of the blocks, from the first, whose inputs give directions: nearer to the
   *     output they are part of the prediction
   */
  public record Limits(double divergence, double induce, double depth) {
    /** The paper's. */
    public static final Limits PAPER = new Limits(0.1, 0, 0.8);

    /** Whether a slot is too near the output. */
    public boolean late(int layer, int blocks) {
      return layer >= (int) (depth * blocks);
    }
  }

  /**
   * What prompts of a class get under an intervention.
   *
   * @param score mean refusal score
   * @param divergence mean KL of the next token, without and with the intervention, nats
   */
  public record Effect(double score, double divergence) {}

  /**
   * A trial.
   *
   * @param harmful prompts that the model refuses, each followed by the same number of tokens of
   *     its refusal, or by none
   * @param benign prompts that it answers, likewise
   */
  public RefusalTrial(
      Decoder model, RefusalScore score, List<Example> harmful, List<Example> benign) {
    this.model = model;
    this.score = score;
    this.harmful = List.copyOf(harmful);
    this.benign = List.copyOf(benign);
  }

  /** Those of the prompts that a model refuses, or that it does not, by its refusal score. */
  public static List<Example> kept(
      Decoder model, RefusalScore score, List<Example> prompts, boolean refused) {
    double[] scores = score.of(PromptReadout.of(model, Tap.NONE, prompts, List.of()).logits());
    var kept = new ArrayList<Example>();
    for (int i = 0; i < scores.length; i++) {
      if (scores[i] > 0 == refused) {
        kept.add(prompts.get(i));
      }
    }
    return kept;
  }

  /** What harmful prompts get: a low score where refusal is bypassed. */
  public Effect harmful(Intervention intervention) {
    return effect(intervention, harmful);
  }

  /** What benign prompts get: a high score where refusal is induced. */
  public Effect benign(Intervention intervention) {
    return effect(intervention, benign);
  }

  private Effect effect(Intervention intervention, List<Example> prompts) {
    double[] sums = new double[2];
    BATCHES
        .forModel(model.architecture())
        .run(
            prompts.iterator(),
            Example::length,
            batch -> read(intervention, batch),
            (_, found) -> {
              sums[0] += found.score() / prompts.size();
              sums[1] += found.divergence() / prompts.size();
            });
    return prompts.isEmpty() ? new Effect(Double.NaN, Double.NaN) : new Effect(sums[0], sums[1]);
  }

  private List<Effect> read(Intervention intervention, List<Example> batch) {
    int answer = batch.getFirst().length() - batch.getFirst().promptEnd() - 1;
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var usual = probabilities(Tap.NONE, batch, answer);
      var found = probabilities(List.of(intervention.withAnswer(answer)), batch, answer);
      var ratio = plus(usual).log().sub(plus(found).log());
      double[] kl = Tensors.doubles(usual.mul(ratio).sum(-1).mean(1));
      var first = found.select(1, 0);
      var effects = new ArrayList<Effect>();
      for (int i = 0; i < batch.size(); i++) {
        effects.add(new Effect(score.ofProbabilities(Tensors.doubles(first.select(0, i))), kl[i]));
      }
      return effects;
    }
  }

  private static Tensor plus(Tensor probabilities) {
    return probabilities.add(new Scalar(RefusalScore.INSIDE_LOGARITHM));
  }

  /**
   * Of the first token of the answer and those behind what is given, {@code [rows][given+1][V]}.
   */
  private Tensor probabilities(List<Tap> taps, List<Example> batch, int answer) {
    var tokens = Tokens.leftPadded(batch.stream().map(Example::ids).toList(), null);
    var hidden = model.forward(tokens, AdapterMode.ON, taps);
    long first = hidden.size(1) - 1 - answer;
    return model.logits(hidden.narrow(1, first, answer + 1)).to(ScalarType.Double).softmax(-1);
  }
}
