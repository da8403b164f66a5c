package io.holdfast.text;

import io.holdfast.HoldfastException;
import io.holdfast.text.jinja.Span;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Where the assistant speaks in a rendered conversation, for templates that do not mark it.
 *
 * <p>A turn reaches from the end of the prompt that asks for it (the conversation before it, with
 * generation prompt) to the end of the conversation up to and with it, end of turn included. Both
 * must be prefixes of the whole text. Templates that render a turn differently once others follow
 * break that; there the turn is found by letting it say something else, and its end of turn is as
 * much of what follows it when it is the last as follows it here.
 */
final class AssistantTurns {
  private static final String ONE = "one";
  private static final String OTHER = "two";

  private final ChatTemplate template;
  private final Row.Chat chat;
  private final String text;

  AssistantTurns(ChatTemplate template, Row.Chat chat, String text) {
    this.template = template;
    this.chat = chat;
    this.text = text;
  }

  /** All turns of the assistant. */
  List<Span> all() {
    var turns = new ArrayList<Span>();
    for (int i = 0; i < chat.messages().size(); i++) {
      if (chat.messages().get(i).isAssistant()) {
        turns.add(turn(i));
      }
    }
    return turns;
  }

  /** The turn that the conversation ends with, if that is the assistant's. */
  Optional<Span> answer() {
    int last = chat.messages().size() - 1;
    return last >= 0 && chat.messages().get(last).isAssistant() && !chat.addGenerationPrompt()
        ? Optional.of(turn(last))
        : Optional.empty();
  }

  private Span turn(int index) {
    var before = rendered(chat.first(index, true));
    boolean last = index == chat.messages().size() - 1 && !chat.addGenerationPrompt();
    var with = last ? Optional.of(text) : rendered(chat.first(index + 1, false));
    return before.isPresent()
            && with.isPresent()
            && text.startsWith(before.get())
            && text.startsWith(with.get())
            && with.get().length() > before.get().length()
        ? span(before.get().length(), with.get().length())
        : varied(index);
  }

  private Span varied(int index) {
    var one = template.render(chat.with(index, ONE)).text();
    var other = template.render(chat.with(index, OTHER)).text();
    int from = commonPrefix(one, other);
    int after = commonSuffix(one, other);
    int to = text.length() - after;
    if (!one.substring(from, one.length() - after).equals(ONE)
        || from > to
        || !text.startsWith(one.substring(0, from))) {
      throw HoldfastException.input(
          "the chat template renders turn %d in a way that does not show where the assistant"
              + " speaks. Mark it in the template with {%% generation %%} and {%% endgeneration"
              + " %%}.",
          index + 1);
    }
    return span(from, to + commonPrefix(ending(chat.first(index + 1, false)), text.substring(to)));
  }

  /** What the template writes after the last turn. */
  private String ending(Row.Chat alone) {
    int last = alone.messages().size() - 1;
    var one = template.render(alone.with(last, ONE)).text();
    var other = template.render(alone.with(last, OTHER)).text();
    return one.substring(one.length() - commonSuffix(one, other));
  }

  private Span span(int from, int to) {
    return new Span(text.codePointCount(0, from), text.codePointCount(0, to));
  }

  /** A part of a conversation; a template may refuse it though it accepts the whole. */
  private Optional<String> rendered(Row.Chat part) {
    if (part.messages().isEmpty()) {
      return Optional.empty();
    }
    try {
      return Optional.of(template.render(part).text());
    } catch (HoldfastException e) {
      return Optional.empty();
    }
  }

  private static int commonPrefix(String a, String b) {
    int n = 0;
    while (n < Math.min(a.length(), b.length()) && a.charAt(n) == b.charAt(n)) {
      n++;
    }
    return n;
  }

  private static int commonSuffix(String a, String b) {
    int n = 0;
    while (n < Math.min(a.length(), b.length())
        && a.charAt(a.length() - 1 - n) == b.charAt(b.length() - 1 - n)) {
      n++;
    }
    return n;
  }
}
