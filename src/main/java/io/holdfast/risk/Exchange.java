package io.holdfast.risk;

import io.holdfast.data.Example;
import io.holdfast.text.Row;
import io.holdfast.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * What a critic reads: a request and the answer to be learnt.
 *
 * @param request all that stands before the answer
 * @param answer the answer; empty where there is none
 */
public record Exchange(String request, String answer) {
  /** What a row says; empty for a row of ids. */
  public static Optional<Exchange> of(Row row) {
    return switch (row) {
      case Row.Tokens _ -> Optional.empty();
      case Row.Text(String text) -> Optional.of(new Exchange("", text));
      case Row.Continuation(String prompt, String completion, _) ->
          Optional.of(new Exchange(prompt, completion));
      case Row.Chat chat -> Optional.of(of(chat));
    };
  }

  private static Exchange of(Row.Chat chat) {
    var turns = chat.messages();
    boolean answered = !turns.isEmpty() && turns.getLast().role().equals("assistant");
    var before = answered ? turns.subList(0, turns.size() - 1) : turns;
    var request =
        before.size() == 1
            ? before.getFirst().content()
            : before.stream()
                .map(turn -> turn.role() + ": " + turn.content())
                .collect(Collectors.joining("\n"));
    return new Exchange(request, answered ? turns.getLast().content() : "");
  }

  /**
   * What an example says, its special tokens left out: a line for each stretch of text between
   * them, and so for each role and turn of a chat.
   */
  public static Exchange of(Example example, Tokenizer tokenizer) {
    int[] ids = example.ids();
    int answer = Math.max(0, example.promptEnd() + 1);
    return new Exchange(
        text(Arrays.copyOf(ids, answer), tokenizer),
        text(Arrays.copyOfRange(ids, answer, ids.length), tokenizer));
  }

  private static String text(int[] ids, Tokenizer tokenizer) {
    List<String> stretches = new ArrayList<>();
    int start = 0;
    for (int i = 0; i <= ids.length; i++) {
      if (i == ids.length || tokenizer.isAdded(ids[i])) {
        stretches.add(tokenizer.decode(Arrays.copyOfRange(ids, start, i), true).strip());
        start = i + 1;
      }
    }
    return stretches.stream().filter(part -> !part.isEmpty()).collect(Collectors.joining("\n"));
  }
}
