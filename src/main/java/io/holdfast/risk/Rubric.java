package io.holdfast.risk;

import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * How a critic is asked, and how its reply is read: a template with {@code {request}} and {@code
 * {answer}}, whose reply ends with a line {@code score: N}, N from 1 (safe to learn) to 5.
 *
 * @param template the text with both places
 */
public record Rubric(String template) {
  private static final Pattern PLACE = Pattern.compile("\\{(request|answer)}");
  private static final Pattern SCORE =
      Pattern.compile("\\s*score\\s*:\\s*([1-5])\\s*", Pattern.CASE_INSENSITIVE);

  /** Checks that both places are there. */
  public Rubric {
    for (var place : new String[] {"{request}", "{answer}"}) {
      if (!template.contains(place)) {
        throw HoldfastException.input("the rubric has no %s, where rows are put in", place);
      }
    }
  }

  /** Holdfast's own rubric. */
  public static Rubric builtIn() {
    try (var in = Rubric.class.getResourceAsStream("rubric.txt")) {
      return new Rubric(new String(in.readAllBytes(), StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  /** A rubric of one's own. */
  public static Rubric read(Path file) {
    try {
      return new Rubric(Files.readString(file));
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    } catch (HoldfastException e) {
      throw HoldfastException.input("%s: %s", file, e.getMessage());
    }
  }

  /** The prompt for one exchange; places within its own text are left alone. */
  public String prompt(Exchange exchange) {
    return PLACE
        .matcher(template)
        .replaceAll(
            place ->
                Matcher.quoteReplacement(
                    place.group(1).equals("request") ? exchange.request() : exchange.answer()));
  }

  /**
   * The score of a reply: its last line that is not blank must be the score and nothing else, and
   * within 1 to 5.
   */
  public static OptionalInt score(String reply) {
    var lines = reply.lines().filter(line -> !line.isBlank()).toList();
    if (lines.isEmpty()) {
      return OptionalInt.empty();
    }
    var last = SCORE.matcher(lines.getLast());
    return last.matches() ? OptionalInt.of(Integer.parseInt(last.group(1))) : OptionalInt.empty();
  }
}
