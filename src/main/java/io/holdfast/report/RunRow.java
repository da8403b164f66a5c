package io.holdfast.report;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * One model in a comparison.
 *
 * @param name as readers see it
 * @param metrics shares in 0..1 by name; a rate {@code x} comes with {@code x_low} and {@code
 *     x_high}, its 95 % Wilson interval
 * @param drift movement in the safety subspace, 1 being the distance of harmful from benign prompts
 * @param tokensPerSecond rate of training, 0 where nothing was trained
 * @param seconds of training
 */
public record RunRow(
    String name,
    Map<String, Double> metrics,
    double drift,
    double tokensPerSecond,
    double seconds) {
  /** Keeps the order of the metrics. */
  public RunRow {
    metrics = java.util.Collections.unmodifiableMap(new LinkedHashMap<>(metrics));
  }

  /** One of the metrics, NaN where it was not measured. */
  public double metric(String key) {
    return metrics.getOrDefault(key, Double.NaN);
  }

  /** A row of {@code summary.json}. */
  public ObjectNode json() {
    var row = JsonNodeFactory.instance.objectNode();
    row.put("name", name);
    metrics.forEach(row::put);
    row.put("drift", drift);
    row.put("tokens_per_second", tokensPerSecond);
    row.put("seconds", seconds);
    return row;
  }

  /** The row that {@link #json} wrote. */
  public static RunRow of(ObjectNode row) {
    var metrics = new LinkedHashMap<String, Double>();
    row.properties()
        .forEach(
            entry -> {
              if (entry.getValue().isNumber()) {
                metrics.put(entry.getKey(), entry.getValue().asDouble());
              }
            });
    double drift = metrics.remove("drift");
    double rate = metrics.remove("tokens_per_second");
    double seconds = metrics.remove("seconds");
    return new RunRow(row.get("name").asText(), metrics, drift, rate, seconds);
  }
}
