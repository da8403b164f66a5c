package io.holdfast.geometry;

import io.holdfast.torch.Scope;
import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.Tensor;

/**
 * Which tokens an intervention reaches. They are counted from the end of the prompt, so that
 * prompts of any length may share a batch that is padded on the left: a pass over several tokens is
 * a prompt, with what is given of the answer behind it, a pass over one is a token of the answer.
 *
 * @param tokens which
 * @param suffix tokens that the chat template puts between the instruction and the answer
 * @param given tokens of the answer that a pass over several ends with
 */
public record Reach(Tokens tokens, int suffix, int given) {
  /** Every token of prompt and answer. */
  public static final Reach ALL = new Reach(Tokens.ALL, 0);

  /** Of passes that end with the prompt. */
  public Reach(Tokens tokens, int suffix) {
    this(tokens, suffix, 0);
  }

  /** The same for passes that end with so many tokens of the answer. */
  Reach withAnswer(int answer) {
    return new Reach(tokens, suffix, answer);
  }

  /** Classes of tokens. */
  public enum Tokens {
    /** Every token of prompt and answer. */
    ALL,
    /** Every token of the prompt. */
    PROMPT,
    /** What comes before the template's suffix, the last token of the instruction included. */
    CONTENT,
    /** The last token of the instruction. */
    INSTRUCTION_END,
    /** The template's suffix, from the end of the instruction to the answer. */
    TEMPLATE,
    /** The last token before the answer. */
    PROMPT_END,
    /** Every token of the answer but its first, which the prompt's last one predicts. */
    ANSWER
  }

  /** States {@code [batch, time, d]} of a pass with those that are reached changed. */
  Tensor edit(Tensor hidden, UnaryOperator<Tensor> change) {
    int time = Math.toIntExact(hidden.size(1));
    var columns = columns(time);
    if (columns.count() == 0) {
      return hidden;
    }
    try (var scope = Scope.open()) {
      if (columns.count() == time) {
        return scope.keep(change.apply(hidden));
      }
      var changed = hidden.clone();
      var reached = hidden.narrow(1, columns.from(), columns.count());
      changed.narrow(1, columns.from(), columns.count()).copy_(change.apply(reached));
      return scope.keep(changed);
    }
  }

  /** Columns {@code from..from + count - 1} of a pass. */
  record Columns(int from, int count) {}

  /** The columns that are reached in a pass over so many tokens. */
  Columns columns(int time) {
    boolean next = time == 1 && given == 0;
    int prompt = next ? 0 : time - given;
    int content = Math.max(0, prompt - suffix);
    return switch (tokens) {
      case ALL -> new Columns(0, time);
      case ANSWER -> new Columns(prompt, time - prompt);
      case PROMPT -> new Columns(0, prompt);
      case CONTENT -> new Columns(0, content);
      case INSTRUCTION_END -> new Columns(content - 1, content == 0 ? 0 : 1);
      case TEMPLATE -> new Columns(content, prompt - content);
      case PROMPT_END -> new Columns(prompt - 1, next ? 0 : 1);
    };
  }
}
