package io.holdfast.attack;

import io.holdfast.HoldfastException;
import io.holdfast.text.Tokenizer;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.Tensor;

/**
 * Which tokens a string may hold: none that is added to the vocabulary (a turn's end would end the
 * request), and, unless others are allowed, only printable ASCII.
 */
final class AllowedTokens implements AutoCloseable {
  private final TensorOwner owner = new TensorOwner();
  private final Tensor barred;
  private final int count;

  /**
   * The tokens of a model.
   *
   * @param vocabulary rows of its embedding, of which the last may stand for no token
   * @throws HoldfastException if none is left
   */
  AllowedTokens(Tokenizer tokenizer, int vocabulary, boolean nonAscii, Set<String> forbidden) {
    var words =
        forbidden.stream()
            .map(word -> word.strip().toLowerCase(Locale.ROOT))
            .collect(Collectors.toSet());
    var bars = new boolean[vocabulary];
    int allowed = 0;
    for (int id = 0; id < vocabulary; id++) {
      bars[id] =
          id >= tokenizer.vocabularySize()
              || tokenizer.isAdded(id)
              || barred(id, tokenizer, nonAscii, words);
      allowed += bars[id] ? 0 : 1;
    }
    if (allowed == 0) {
      throw HoldfastException.input(
          "%s: no token of this vocabulary may stand in a string; allow others than ASCII, or"
              + " forbid fewer words",
          tokenizer.folder());
    }
    this.count = allowed;
    this.barred = owner.own(Tensors.of(bars, vocabulary));
  }

  private static boolean barred(int id, Tokenizer tokenizer, boolean nonAscii, Set<String> words) {
    var text = tokenizer.decode(new int[] {id}, false);
    boolean printable = !text.isEmpty() && text.chars().allMatch(c -> c >= ' ' && c <= '~');
    return !nonAscii && !printable || words.contains(text.strip().toLowerCase(Locale.ROOT));
  }

  /** How many there are. */
  int count() {
    return count;
  }

  /** True for each token that may not stand in a string, boolean {@code [V]}. */
  Tensor barred() {
    return barred;
  }

  @Override
  public void close() {
    owner.close();
  }
}
