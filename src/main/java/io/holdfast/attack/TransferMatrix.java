package io.holdfast.attack;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import de.siegmar.fastcsv.writer.CsvWriter;
import io.holdfast.eval.Outcome;
import io.holdfast.eval.Tally;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;

/**
 * How often strings that were found on one model work on others. Pairs that were not measured have
 * no cell.
 */
public final class TransferMatrix {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Where strings come from and where they are replayed. */
  public record Pair(String source, String target) {}

  private final SequencedMap<Pair, Tally> cells = new LinkedHashMap<>();

  /** Adds a cell, or replaces it. */
  public void put(Pair pair, Tally outcomes) {
    cells.put(pair, outcomes);
  }

  /** The outcomes of a pair, where it was measured. */
  public Optional<Tally> get(Pair pair) {
    return Optional.ofNullable(cells.get(pair));
  }

  /** All cells, in the order in which they were measured. */
  public Map<Pair, Tally> cells() {
    return cells;
  }

  /** {@code {"cells": [{source, target, n, comply, refuse, other, asr, asr_low, asr_high}]}}. */
  public ObjectNode json() {
    var content = JSON.createObjectNode();
    var list = content.putArray("cells");
    cells.forEach(
        (pair, outcomes) -> {
          var rate = outcomes.rate(Outcome.COMPLY);
          list.addObject()
              .put("source", pair.source())
              .put("target", pair.target())
              .put("n", outcomes.n())
              .put("comply", outcomes.comply())
              .put("refuse", outcomes.refuse())
              .put("other", outcomes.other())
              .put("asr", rate.value())
              .put("asr_low", rate.low())
              .put("asr_high", rate.high());
        });
    return content;
  }

  /** The matrix that {@link #json} wrote. */
  public static TransferMatrix of(ObjectNode content) {
    var matrix = new TransferMatrix();
    content
        .path("cells")
        .forEach(
            cell ->
                matrix.put(
                    new Pair(cell.get("source").asText(), cell.get("target").asText()),
                    new Tally(
                        cell.get("comply").asInt(),
                        cell.get("refuse").asInt(),
                        cell.get("other").asInt())));
    return matrix;
  }

  /** The same as a table with a line a cell. */
  public String csv() {
    var text = new StringWriter();
    try (var csv = CsvWriter.builder().build(text)) {
      csv.writeRecord(
          "source", "target", "n", "comply", "refuse", "other", "asr", "asr_low", "asr_high");
      cells.forEach(
          (pair, outcomes) -> {
            var rate = outcomes.rate(Outcome.COMPLY);
            csv.writeRecord(
                List.of(
                    pair.source(),
                    pair.target(),
                    "" + outcomes.n(),
                    "" + outcomes.comply(),
                    "" + outcomes.refuse(),
                    "" + outcomes.other(),
                    decimal(rate.value()),
                    decimal(rate.low()),
                    decimal(rate.high())));
          });
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return text.toString();
  }

  private static String decimal(double value) {
    return String.format(Locale.ROOT, "%.4f", value);
  }
}
