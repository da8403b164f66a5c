package io.holdfast.text;

import io.holdfast.HoldfastException;
import io.holdfast.text.jinja.Span;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Stream;

/**
 * Rows to token ids: the tokenizer and the chat template of one model together, with the places
 * that matter in a conversation. Safe to use from several threads.
 */
public final class ChatTokenizer implements AutoCloseable {
  private final Tokenizer tokenizer;
  private final Optional<ChatTemplate> template;
  private final PromptSuffix generating = new PromptSuffix(this::text, true);
  private final PromptSuffix silent = new PromptSuffix(this::text, false);

  /** A tokenizer with the template of its folder; a folder without one is fine. */
  public ChatTokenizer(Tokenizer tokenizer) {
    this(tokenizer, TemplateFiles.clock());
  }

  /**
   * As above.
   *
   * @param clock whose time the template is told
   */
  public ChatTokenizer(Tokenizer tokenizer, Clock clock) {
    this.tokenizer = tokenizer;
    this.template = ChatTemplate.load(tokenizer, clock);
  }

  /** The tokenizer and template of a model folder. */
  public static ChatTokenizer load(Path folder) {
    return new ChatTokenizer(Tokenizer.load(folder));
  }

  /** The files of a model folder that decide which ids a row becomes. */
  public static List<Path> files(Path folder) {
    return Stream.concat(
            Stream.of(
                    "tokenizer.json",
                    "tokenizer_config.json",
                    "special_tokens_map.json",
                    "added_tokens.json",
                    "config.json")
                .map(folder::resolve)
                .filter(Files::isRegularFile),
            TemplateFiles.in(folder).values().stream())
        .toList();
  }

  /** The tokenizer below. */
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  /** Whether conversations can be encoded. */
  public boolean hasTemplate() {
    return template.isPresent();
  }

  /** The text of a conversation. */
  public String render(List<Message> messages, boolean addGenerationPrompt) {
    return template().render(new Row.Chat(messages, addGenerationPrompt)).text();
  }

  /**
   * What the template puts between the end of an instruction and the answer: the longest common
   * token suffix of prompts with two different instructions.
   */
  public int[] promptSuffix() {
    // The template writes every special token itself; the tokenizer must not add a second BOS.
    return generating.ids(text -> tokenizer.encode(text, false));
  }

  /** A conversation as tokens; as {@link #encode(Row)}. */
  public Encoded encode(List<Message> messages, boolean addGenerationPrompt) {
    return encode(new Row.Chat(messages, addGenerationPrompt));
  }

  /**
   * A row as tokens.
   *
   * @throws HoldfastException if the row is a conversation and there is no template, or the
   *     template refuses it
   */
  public Encoded encode(Row row) {
    return switch (row) {
      case Row.Tokens(int[] ids) -> plain(ids, tokenizer.decode(ids, false));
      case Row.Text(String text) -> plain(tokenizer.encode(text, true), text);
      case Row.Continuation continuation -> continuation(continuation);
      case Row.Chat chat -> chat(chat);
    };
  }

  private static Encoded plain(int[] ids, String text) {
    return new Encoded(ids, text, new boolean[ids.length], -1, -1);
  }

  private Encoded continuation(Row.Continuation row) {
    var text = row.prompt() + row.completion();
    var tokens = tokenizer.encodeSpanned(text, row.whole());
    int[] ids = tokens.ids();
    var mask = mask(tokens, List.of(new Span(length(row.prompt()), length(text))));
    int promptEnd = firstOf(mask) - 1;
    var end = row.whole() ? tokenizer.eosId() : OptionalInt.empty();
    if (end.isPresent()) {
      if (ids.length == 0 || ids[ids.length - 1] != end.getAsInt()) {
        ids = Arrays.copyOf(ids, ids.length + 1);
        ids[ids.length - 1] = end.getAsInt();
      }
      mask = Arrays.copyOf(mask, ids.length);
      mask[mask.length - 1] = true;
    }
    return new Encoded(ids, text, mask, -1, promptEnd);
  }

  private Encoded chat(Row.Chat chat) {
    var rendered = template().render(chat);
    var text = rendered.text();
    var tokens = tokenizer.encodeSpanned(text, false);
    var turns = new AssistantTurns(template(), tokenizer, chat, text);
    var said = rendered.generated().orElseGet(turns::all);
    var mask = mask(tokens, said);
    if (rendered.generated().isEmpty()) {
      withoutTrailingBlanks(tokens.ids(), mask);
    }
    Optional<Span> answer = Optional.empty();
    if (chat.endsWithAnswer()) {
      answer = rendered.generated().isEmpty() ? Optional.of(said.getLast()) : turns.answer(said);
    }
    int promptEnd =
        answer
            .map(span -> firstOf(mask(tokens, List.of(span))) - 1)
            .orElse(tokens.ids().length - 1);
    return new Encoded(
        tokens.ids(), text, mask, instructionEnd(chat, text, answer, tokens), promptEnd);
  }

  private int instructionEnd(
      Row.Chat chat, String text, Optional<Span> answer, Tokenizer.Spanned tokens) {
    int promptEnd =
        answer.map(said -> text.offsetByCodePoints(0, said.from())).orElse(text.length());
    var suffix = answer.isPresent() || chat.addGenerationPrompt() ? generating : silent;
    int end = suffix.instructionEnd(chat, text, promptEnd);
    return end < 0 ? -1 : lastBefore(tokens, text.codePointCount(0, end));
  }

  /** The last token that covers the character before a place. */
  private static int lastBefore(Tokenizer.Spanned tokens, int end) {
    int i = tokens.ids().length - 1;
    while (i >= 0 && !(tokens.start()[i] < end && end <= tokens.end()[i])) {
      i--;
    }
    return i;
  }

  /**
   * A token belongs to a span if it covers any of its characters; but an added token at its end,
   * the next turn's first for example, must lie in it as a whole.
   */
  private boolean[] mask(Tokenizer.Spanned tokens, List<Span> spans) {
    var mask = new boolean[tokens.ids().length];
    for (var span : spans) {
      for (int i = 0; i < mask.length; i++) {
        mask[i] |=
            tokens.start()[i] < span.to()
                && tokens.end()[i] > span.from()
                && span.from() < span.to()
                && (tokens.end()[i] <= span.to() || !tokenizer.isAdded(tokens.ids()[i]));
      }
    }
    return mask;
  }

  /**
   * Ends each turn with its end-of-turn token: the line break that many templates write after it is
   * nothing the assistant says.
   */
  private void withoutTrailingBlanks(int[] ids, boolean[] mask) {
    for (int end = mask.length; end > 0; end--) {
      if (mask[end - 1] && (end == mask.length || !mask[end])) {
        int cut = end;
        while (cut > 0 && mask[cut - 1] && isBlank(ids[cut - 1])) {
          cut--;
        }
        if (cut > 0 && mask[cut - 1] && tokenizer.isAdded(ids[cut - 1])) {
          Arrays.fill(mask, cut, end, false);
        }
      }
    }
  }

  private boolean isBlank(int id) {
    return !tokenizer.isAdded(id) && tokenizer.decode(new int[] {id}, false).isBlank();
  }

  private static int firstOf(boolean[] mask) {
    int i = 0;
    while (i < mask.length && !mask[i]) {
      i++;
    }
    return i;
  }

  private String text(Row.Chat chat) {
    return template().render(chat).text();
  }

  private ChatTemplate template() {
    return template.orElseThrow(
        () ->
            HoldfastException.input(
                "%s: the model has no chat template (chat_template.jinja, or chat_template in"
                    + " tokenizer_config.json), but rows are conversations. Add the model's, or"
                    + " give rows as prompt and completion, or as text.",
                tokenizer.folder()));
  }

  private static int length(String text) {
    return text.codePointCount(0, text.length());
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
