package io.holdfast.text;

import io.holdfast.HoldfastException;
import io.holdfast.text.jinja.Rendered;
import io.holdfast.text.jinja.Span;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Where the assistant speaks in a rendered conversation, for templates that do not mark it.
 *
 * <p>A turn reaches from the end of the prompt that asks for it (the conversation before it, with
 * generation prompt) to the end of the conversation up to and with it, end of turn included. Both
 * must be prefixes of the whole text, and what lies between must hold what the message says.
 *
 * <p>Templates that render a turn differently once others follow, or that leave out what was said
 * before, break that. There the turn is found by letting it say something else: it is what then
 * changes; before that, what the template writes after the end of a prompt; and after it, as much
 * of what follows as follows it when it is the last, its end of turn. Where that does not show it
 * either, the conversation is refused.
 */
final class AssistantTurns {
  private static final String ONE = "one";
  private static final String OTHER = "two";

  private final ChatTemplate template;
  private final Tokenizer tokenizer;
  private final Row.Chat chat;
  private final String text;

  /**
   * Turns of one conversation.
   *
   * @param text as it was rendered
   */
  AssistantTurns(ChatTemplate template, Tokenizer tokenizer, Row.Chat chat, String text) {
    this.template = template;
    this.tokenizer = tokenizer;
    this.chat = chat;
    this.text = text;
  }

  /**
   * All turns of the assistant, in order.
   *
   * @throws HoldfastException if the template does not show where one of them is
   */
  List<Span> all() {
    var turns = new ArrayList<Span>();
    for (int i = 0; i < chat.messages().size(); i++) {
      if (chat.messages().get(i).isAssistant()) {
        turns.add(turn(i));
      }
    }
    return turns;
  }

  /**
   * The turn that the conversation ends with, for a template that marks what is generated, but
   * neither the prompt nor every part of a turn: it begins where the prompt for it ends, else with
   * its first mark.
   *
   * @param marked all marks
   */
  Optional<Span> answer(List<Span> marked) {
    int last = chat.messages().size() - 1;
    int end = text.codePointCount(0, text.length());
    var before = rendered(chat.first(last, true));
    if (before.isPresent() && text.startsWith(before.get().text())) {
      return Optional.of(span(before.get().text().length(), text.length()));
    }
    var marks = rendered(chat.first(last, false)).flatMap(Rendered::generated).orElse(List.of());
    return marked.stream().skip(marks.size()).findFirst().map(m -> new Span(m.from(), end));
  }

  private Span turn(int index) {
    var before = text(chat.first(index, true));
    boolean last = index == chat.messages().size() - 1 && !chat.addGenerationPrompt();
    var with = last ? Optional.of(text) : text(chat.first(index + 1, false));
    if (before.isPresent()
        && with.isPresent()
        && text.startsWith(before.get())
        && text.startsWith(with.get())
        && with.get().length() > before.get().length()) {
      int from = before.get().length();
      int to = with.get().length();
      if (holds(from, to, index)) {
        return span(from, to);
      }
    }
    var message = chat.messages().get(index);
    // A bare message leaves thoughts and calls out as well, so that they are part of what changes.
    return changed(index, new Message("assistant", ""))
        .or(() -> changed(index, message))
        .orElseThrow(
            () ->
                HoldfastException.input(
                    "turn %d: the chat template renders it in a way that does not show where the"
                        + " assistant speaks. Mark it in the template with {%% generation %%} and"
                        + " {%% endgeneration %%}.",
                    index + 1));
  }

  /**
   * Whether what a turn says stands in a part of the text: as it is, or so that nothing else
   * changes with it.
   */
  private boolean holds(int from, int to, int index) {
    var message = chat.messages().get(index);
    if (text.substring(from, to).contains(message.content().strip())) {
      return true;
    }
    var other = text(chat.with(index, message.withContent(ONE))).orElse(text);
    if (other.equals(text)) {
      return message.fields().get("tool_calls") != null; // then those alone may be what is said
    }
    return Common.prefix(text, other) >= from && Common.suffix(text, other) >= text.length() - to;
  }

  /** What changes in the text when the turn says something else, with its end of turn. */
  private Optional<Span> changed(int index, Message instead) {
    var one = text(chat.with(index, instead.withContent(ONE)));
    var other = text(chat.with(index, instead.withContent(OTHER)));
    var alone = chat.first(index + 1, false);
    var end = text(alone.with(index, instead.withContent(ONE)));
    var otherEnd = text(alone.with(index, instead.withContent(OTHER)));
    if (one.isEmpty() || other.isEmpty() || end.isEmpty() || otherEnd.isEmpty()) {
      return Optional.empty();
    }
    int from = Common.prefix(one.get(), other.get());
    int after = Common.suffix(one.get(), other.get());
    int to = text.length() - after;
    if (from > one.get().length() - after
        || !one.get().substring(from, one.get().length() - after).equals(ONE)
        || from > to
        || !text.startsWith(one.get().substring(0, from))
        || !text.endsWith(one.get().substring(one.get().length() - after))) {
      return Optional.empty();
    }
    var ending = end.get().substring(end.get().length() - Common.suffix(end.get(), otherEnd.get()));
    return Optional.of(span(promptEnd(index, from), to + endOfTurn(ending, text.substring(to))));
  }

  /**
   * Where the prompt for a turn ends, at most at the place where its content begins: behind the
   * last occurrence of what the template puts at the end of that prompt, unless the message before
   * reaches beyond it.
   */
  private int promptEnd(int index, int content) {
    if (index == 0) {
      return content;
    }
    var prompt = chat.first(index, true);
    var asked = chat.messages().get(index - 1);
    var one = text(prompt.with(index - 1, asked.withContent(ONE))).orElse("");
    var other = text(prompt.with(index - 1, asked.withContent(OTHER))).orElse("");
    var tail = one.substring(one.length() - Common.suffix(one, other));
    int at = text.lastIndexOf(tail, content - tail.length());
    int end = at + tail.length();
    boolean same =
        at >= 0
            && Stream.of(ONE, OTHER)
                .map(said -> text(chat.with(index - 1, asked.withContent(said))).orElse(""))
                .allMatch(changed -> Common.suffix(text, changed) >= text.length() - end);
    return same ? end : content;
  }

  /**
   * How much of what follows a turn is its end: what also follows it when it is the last. Where
   * only some of that does, no token of it counts in part, such as the first character of an
   * end-of-sequence token.
   */
  private int endOfTurn(String last, String here) {
    int common = Common.prefix(last, here);
    if (common == last.length()) {
      return common;
    }
    int whole = 0;
    for (int end : tokenizer.encodeSpanned(last, false).end()) {
      int at = last.offsetByCodePoints(0, end);
      whole = at <= common ? Math.max(whole, at) : whole;
    }
    return whole;
  }

  private Span span(int from, int to) {
    return new Span(text.codePointCount(0, from), text.codePointCount(0, to));
  }

  /** A conversation that the template may refuse though it accepts the one at hand. */
  private Optional<String> text(Row.Chat part) {
    return rendered(part).map(Rendered::text);
  }

  private Optional<Rendered> rendered(Row.Chat part) {
    if (part.messages().isEmpty()) {
      return Optional.empty();
    }
    try {
      return Optional.of(template.render(part));
    } catch (HoldfastException e) {
      return Optional.empty();
    }
  }
}
