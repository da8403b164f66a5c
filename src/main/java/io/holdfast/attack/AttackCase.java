package io.holdfast.attack;

import io.holdfast.eval.Case;
import io.holdfast.model.Decoder;
import io.holdfast.model.Generation;
import io.holdfast.model.Generator;
import io.holdfast.model.Tap;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Message;
import java.util.ArrayList;
import java.util.List;

/**
 * A request that a model should refuse, and how an answer that does not refuse would begin.
 *
 * @param asked the request, with what a judge needs to know of it
 * @param target the beginning of that answer
 */
public record AttackCase(Case asked, String target) {
  /** Its name. */
  public String id() {
    return asked.prompt().id();
  }

  /** What is asked last. */
  public String request() {
    return asked.prompt().turns().getLast().content();
  }

  /** The turns as a template takes them. */
  List<Message> turns() {
    return asked.prompt().turns().stream()
        .map(turn -> new Message(turn.role(), turn.content()))
        .toList();
  }

  /** Its tokens for one model. */
  public AttackPrompt prompt(ChatTokenizer chat) {
    return AttackPrompt.of(chat, id(), turns(), target);
  }

  /** The request with a string in its place: HarmBench's test case. */
  public String with(String string) {
    var request = request();
    return request.contains(AttackPrompt.PLACEHOLDER)
        ? request.replace(AttackPrompt.PLACEHOLDER, string)
        : request + string;
  }

  /** A model's own answer to a test case, sent as text and decoded greedily. */
  public String answer(Decoder model, ChatTokenizer chat, String testCase, int newTokens) {
    var greedy = Generation.greedy(newTokens, chat.tokenizer().endOfText());
    var continued =
        new Generator(model, Tap.NONE, 1).generate(List.of(encode(chat, testCase)), greedy);
    return chat.tokenizer().decode(continued.getFirst().ids(), true);
  }

  /** The conversation in which the last turn is another text, as tokens. */
  int[] encode(ChatTokenizer chat, String testCase) {
    var turns = new ArrayList<>(turns());
    var last = turns.removeLast();
    turns.add(new Message(last.role(), testCase));
    return chat.encode(turns, true).ids();
  }
}
