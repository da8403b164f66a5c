package io.holdfast.attack;

import io.holdfast.attack.GcgSettings.Positions;
import io.holdfast.attack.GcgSettings.Search;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;

/**
 * Draws candidates: each is the string with some tokens replaced by others that the gradient
 * promises most of.
 */
final class CandidateSampler {
  private final Search search;
  private final AllowedTokens allowed;

  CandidateSampler(Search search, AllowedTokens allowed) {
    this.search = search;
    this.allowed = allowed;
  }

  /**
   * The tokens with the smallest gradient at each position, of those that are allowed.
   *
   * @param gradient {@code [string, V]}
   * @return {@code [string][k]}, where k is {@code topk} or all that are allowed
   */
  int[][] best(Tensor gradient) {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      int k = Math.min(search.topk(), allowed.count());
      var scores = gradient.neg();
      scores.masked_fill_(allowed.barred(), new Scalar(Double.NEGATIVE_INFINITY));
      long[] ids = Tensors.longs(scores.topk(k, 1, true, true).get1());
      var best = new int[Math.toIntExact(gradient.size(0))][k];
      for (int i = 0; i < ids.length; i++) {
        best[i / k][i % k] = (int) ids[i];
      }
      return best;
    }
  }

  /**
   * Candidates of one step.
   *
   * @param best tokens to draw from, for each position
   */
  List<int[]> draw(int[] string, int[][] best, SplittableRandom random) {
    var candidates = new ArrayList<int[]>();
    for (int i = 0; i < search.width(); i++) {
      int[] candidate = string.clone();
      for (int position : positions(i, string.length, random)) {
        candidate[position] = best[position][random.nextInt(best[position].length)];
      }
      candidates.add(candidate);
    }
    return candidates;
  }

  private int[] positions(int candidate, int length, SplittableRandom random) {
    if (search.positions() == Positions.EVEN) {
      return new int[] {(int) ((long) candidate * length / search.width())};
    }
    int count = Math.min(search.replaced(), length);
    // The first steps of a shuffle: distinct, and every choice as probable as any other.
    var all = new int[length];
    for (int i = 0; i < length; i++) {
      all[i] = i;
    }
    var chosen = new int[count];
    for (int i = 0; i < count; i++) {
      int j = i + random.nextInt(length - i);
      chosen[i] = all[j];
      all[j] = all[i];
    }
    return chosen;
  }
}
