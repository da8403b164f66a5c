package io.holdfast.cli;

import io.holdfast.eval.Prompt;
import io.holdfast.eval.Responder;
import io.holdfast.model.Decoder;
import io.holdfast.model.Generation;
import io.holdfast.model.Generator;
import io.holdfast.model.Tap;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Message;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;

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
    return respond(prompts, _ -> {});
  }

  /** Answers in the order of the prompts; {@code progress} is told how many there are by now. */
  List<String> respond(List<Prompt> prompts, IntConsumer progress) {
    var greedy = Generation.greedy(longest, chat.tokenizer().endOfText());
    var answers = new ArrayList<String>();
    new Generator(model, taps, batch)
        .generate(
            prompts.iterator(),
            this::ids,
            greedy,
            (_, continued) -> {
              answers.add(chat.tokenizer().decode(continued.ids(), true));
              progress.accept(answers.size());
            });
    return answers;
  }

  /** The tokens of a prompt, up to where its answer begins. */
  int[] ids(Prompt prompt) {
    var turns =
        prompt.turns().stream().map(turn -> new Message(turn.role(), turn.content())).toList();
    return chat.encode(turns, true).ids();
  }
}
