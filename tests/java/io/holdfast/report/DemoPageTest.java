package io.holdfast.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.StringReader;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.xml.sax.InputSource;

class DemoPageTest {
  private static RunRow run(String name, double asr, double task) {
    var metrics = new LinkedHashMap<String, Double>();
    Map.of("asr", asr, "task_accuracy", task, "over_refusal", 0.02, "harmful_other", 0.25)
        .forEach(
            (key, value) -> {
              metrics.put(key, value);
              metrics.put(key + "_low", Math.max(0, value - 0.1));
              metrics.put(key + "_high", Math.min(1, value + 0.1));
            });
    metrics.put("harmful_refused", 1 - asr - 0.25);
    metrics.put("benign_answered", 0.9);
    return new RunRow(name, metrics, 0.5, 1234, 6);
  }

  private static final DemoSummary SUMMARY =
      new DemoSummary(7, List.of(run("base", 0.05, 0), run("a & <b>", 0.5, 0.93)));

  /** The page is well-formed XML but for the doctype and elements without an end. */
  private static Document parsed(String html) throws Exception {
    var xml =
        html.replace("<!doctype html>", "")
            .replaceAll("<meta ([^>]*)>", "<meta $1/>")
            .replace("&nbsp;", "&#160;");
    return DocumentBuilderFactory.newInstance()
        .newDocumentBuilder()
        .parse(new InputSource(new StringReader(xml)));
  }

  @Test
  void thePageIsWellFormedAndEscapesNames() throws Exception {
    var page = parsed(DemoPage.html(SUMMARY));
    var heads = page.getElementsByTagName("th");
    var names = new java.util.ArrayList<String>();
    for (int i = 0; i < heads.getLength(); i++) {
      names.add(heads.item(i).getTextContent());
    }
    assertEquals(2, names.stream().filter("a & <b>"::equals).count(), "in both tables");
  }

  @Test
  void aBarIsAsWideAsItsFigure() throws Exception {
    var rects = parsed(DemoPage.html(SUMMARY)).getElementsByTagName("rect");
    // Each run: track, answered and other; track and accuracy; track and over-refusal.
    assertEquals(14, rects.getLength());
    assertEquals("50.00", rects.item(8).getAttributes().getNamedItem("width").getTextContent());
    assertEquals("50.00", rects.item(9).getAttributes().getNamedItem("x").getTextContent());
    assertEquals("25.00", rects.item(9).getAttributes().getNamedItem("width").getTextContent());
  }

  @Test
  void nothingIsLoadedFromElsewhere() {
    var html = DemoPage.html(SUMMARY);
    for (var outside : List.of("http", "src=", "href=", "url(", "@import", "<script")) {
      assertFalse(html.contains(outside), outside);
    }
  }

  @Test
  void theTableReadsAsMarkdownAndAsText() {
    var lines = SUMMARY.table().lines().toList();
    assertEquals(4, lines.size());
    assertTrue(lines.get(1).matches("\\|-+\\|(-+:\\|)+"), lines.get(1));
    assertEquals(1, lines.stream().map(String::length).distinct().count(), "columns are aligned");
    assertTrue(lines.get(3).contains("50.0 (40.0-60.0)"), lines.get(3));
    assertTrue(lines.get(3).contains("50.0/25.0/25.0"), lines.get(3));
  }

  @Test
  void aRowOfTheSummaryReadsBack() throws IOException {
    var json = (ObjectNode) new ObjectMapper().readTree(SUMMARY.json().toString());
    assertEquals(7, json.get("seed").asInt());
    var row = (ObjectNode) json.get("runs").get(1);
    assertEquals(0.4, row.get("asr_low").asDouble());
    assertEquals(SUMMARY.runs().get(1), RunRow.of(row));
  }

  @Test
  void aTableRefusesRaggedRows() {
    assertThrows(
        IllegalArgumentException.class,
        () -> new Table(List.of("a", "b"), List.of(List.of("only one"))));
  }
}
