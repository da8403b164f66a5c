package io.holdfast.cli;

import io.holdfast.eval.Prompt;
import io.holdfast.eval.Responder;
import io.holdfast.model.Decoder;
import io.holdfast.model.Generation;
import io.holdfast.model.Generator;
import io.holdfast.model.Tap;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Message;
import java.util.List;

/**
 * A model's own answers, decoded greedily.
 *
 * @param taps applied while it answers
 * @param longest answer in tokens
 * @param batch prompts decoded together
 */
public record Answers(Decoder model, List<Tap> taps, ChatTokenizer chat, int longest, int batch)
    implements Responder {
  /** The answers of a model as it is. */
  public Answers(Decoder model, ChatTokenizer chat, int longest, int batch) {
    this(model, Tap.NONE, chat, longest, batch);
  }

  @Override
  public List<String> respond(List<Prompt> prompts) {
    var ids = prompts.stream().map(this::encoded).toList();
    var greedy = Generation.greedy(longest, chat.tokenizer().endOfText());
    return new Generator(model, taps, batch)
        .generate(ids, greedy).stream()
            .map(continued -> chat.tokenizer().decode(continued.ids(), true))
            .toList();
  }

  private int[] encoded(Prompt prompt) {
    var turns =
        prompt.turns().stream().map(turn -> new Message(turn.role(), turn.content())).toList();
    return chat.encode(turns, true).ids();
  }
}
