package io.holdfast.text.jinja;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.Goldens;
import java.time.Clock;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

class TemplateTest {
  private static final Clock CLOCK =
      Clock.fixed(Instant.parse("2026-03-05T07:08:09Z"), ZoneOffset.UTC);
  private static final Map<String, Object> VARIABLES =
      Map.of(
          "messages",
          List.of(Map.of("role", "user", "content", "how do I cook rice?")),
          "add_generation_prompt",
          false);

  @TestFactory
  Stream<DynamicTest> meansWhatJinja2Means() {
    return Goldens.lines(Goldens.path("text/templates/snippets.jsonl")).stream()
        .map(golden -> dynamicTest(golden.get("template").asText(), () -> check(golden)));
  }

  private static void check(JsonNode golden) {
    var source = golden.get("template").asText();
    if (golden.has("text")) {
      assertEquals(golden.get("text").asText(), render(source));
      return;
    }
    var error = assertThrows(RuntimeException.class, () -> render(source));
    assertTrue(error instanceof Fault || error instanceof Refusal, error.toString());
  }

  private static String render(String source) {
    return Template.parse(source).render(VARIABLES, CLOCK).text();
  }

  @Test
  void faultsNameTheirLine() {
    assertEquals("line 2: 'x' is undefined", fault("a\n{{ x.y }}"));
    assertEquals("line 3: the filter 'nope' is not known", fault("{# c\n #}\n{{ 1 | nope }}"));
    assertEquals("line 2: the tag 'include' is not known", fault("\n{% include 'x' %}"));
    assertEquals("line 1: a tag is not closed", fault("{{ 1\n\n"));
    assertEquals(
        "line 3: 'y' is undefined",
        fault("{% for a in [1] %}\n{% if true %}\n{{ y + 1 }}" + "{% endif %}{% endfor %}"));
    assertTrue(fault("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").contains("without end"));
  }

  private static String fault(String source) {
    return assertThrows(Fault.class, () -> render(source)).getMessage();
  }

  @Test
  void generatedTextIsMarkedInCodePoints() {
    var rendered =
        Template.parse(
                "😀{% for i in [1, 2] %}u{{ i }}{% generation %}é😀{{ i }}{% endgeneration %}{%"
                    + " endfor %}")
            .render(Map.of(), CLOCK);
    assertEquals("😀u1é😀1u2é😀2", rendered.text());
    assertEquals(List.of(new Span(3, 6), new Span(8, 11)), rendered.generated().orElseThrow());
  }

  @Test
  void whatIsSaidIsNeverATemplate() {
    var said = "{{ raise_exception('no') }}{% if %}";
    assertEquals(said, Template.parse("{{ said }}").render(Map.of("said", said), CLOCK).text());
  }

  /** Values of Python's {@code strftime}. */
  @Test
  void datesArePythons() {
    var time = LocalDateTime.of(2024, 7, 6, 5, 4, 3);
    assertEquals("06 Jul 2024", Time.strftime("%d %b %Y", time));
    assertEquals("2024-07-06T05:04:03", Time.strftime("%Y-%m-%dT%H:%M:%S", time));
    assertEquals(
        "July 6, 24; Saturday Sat 188 100%", Time.strftime("%B %-d, %y; %A %a %j 100%%", time));
    assertEquals("05 AM", Time.strftime("%I %p", time));
    assertThrows(Fault.class, () -> Time.strftime("%Q", time));
  }
}
