package io.holdfast.guard;

import io.holdfast.data.Example;
import io.holdfast.kernels.DType;
import io.holdfast.model.Decoder;
import io.holdfast.torch.Tensors;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Token-wise constrained fine-tuning (Qi et al. 2024, "Safety alignment should be made more than
 * just a few tokens deep"). Each token's objective, with {@code d = log pi - log pi_ref}, is
 *
 * <pre>
 * -(2 / beta_t) log sigmoid(beta_t d)        gradient  w_t (gradient of its cross entropy)
 * w_t = max(2 (1 - sigmoid(beta_t d)), least)
 * </pre>
 *
 * so that tokens which have become much more probable than they were are hardly pushed further; the
 * first tokens of an answer, which decide whether it refuses, are held most. The reference's
 * log-probabilities are computed once and kept.
 */
public final class TokenConstraint implements Guard {
  /**
   * How strongly each token is held.
   *
   * @param beta of late tokens
   * @param first factor of beta at an answer's first token
   * @param early factor of beta at the tokens after it
   * @param earlyTokens how many tokens, the first included, are held so; later ones have beta
   * @param least weight of a token
   */
  public record Settings(double beta, double first, double early, int earlyTokens, double least) {
    double at(int number) {
      if (number >= earlyTokens) {
        return beta;
      }
      return beta * (number == 0 ? first : early);
    }
  }

  private final Settings settings;
  private final KeptRows reference;
  private Held here;
  private double sum;
  private long count;

  /**
   * A constraint.
   *
   * @param reference log-probabilities of what is learnt, one a token; closed with this guard
   */
  public TokenConstraint(Settings settings, KeptRows reference) {
    this.settings = settings;
    this.reference = reference;
  }

  /** The reference's log-probabilities of everything that is learnt, from a file or computed. */
  public static KeptRows logProbabilities(
      Path path, String key, List<Example> examples, Decoder reference) {
    return KeptRows.of(
        path,
        key,
        examples,
        1,
        DType.FLOAT32,
        reference,
        (example, hidden) -> {
          long[] next =
              Arrays.stream(KeptRows.places(example))
                  .mapToLong(t -> example.ids()[t + 1])
                  .toArray();
          return reference
              .logits(hidden)
              .log_softmax(1)
              .gather(1, Tensors.of(next, next.length, 1));
        });
  }

  @Override
  public String name() {
    return "constrained SFT, w = max(2 (1 - sigmoid(beta_t (log pi - log pi_ref))), %s), beta_t = %s"
            .formatted(settings.least(), settings.at(settings.earlyTokens()))
        + ", %s at the first token and %s up to token %d"
            .formatted(settings.at(0), settings.at(1), settings.earlyTokens());
  }

  @Override
  public Optional<TokenWeights> tokenWeights() {
    return Optional.of(this::weight);
  }

  private double weight(Example example, int token, double logProbability) {
    if (here == null || here.example() != example) {
      here = new Held(example, KeptRows.places(example), reference.rows(example));
    }
    int row = Arrays.binarySearch(here.places(), token - 1);
    double before = here.logProbabilities().getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, row);
    double beta = settings.at(here.number(row));
    double weight =
        Math.max(2 / (1 + Math.exp(beta * (logProbability - before))), settings.least());
    sum += weight;
    count++;
    return weight;
  }

  /** The example whose tokens are being weighed; they come together. */
  private record Held(Example example, int[] places, MemorySegment logProbabilities) {
    /** Which token of its answer a row is, from 0; an answer is a stretch without gaps. */
    int number(int row) {
      int first = row;
      while (first > 0 && places[first - 1] == places[first] - 1) {
        first--;
      }
      return row - first;
    }
  }

  @Override
  public Map<String, Double> metrics() {
    var metrics = Map.of("token_weight", sum / Math.max(1, count));
    sum = 0;
    count = 0;
    return metrics;
  }

  @Override
  public void close() {
    reference.close();
  }
}
