package io.holdfast.eval;

import com.fasterxml.jackson.annotation.JsonValue;
import io.holdfast.eval.EvalSuite.PromptSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * How a model did on a suite.
 *
 * @param sets by name, in the suite's order
 * @param degeneration of all answers together
 */
public record SuiteReport(Map<String, SetReport> sets, Degeneration degeneration) {
  /**
   * How it did on one set.
   *
   * @param judge the judge's name
   * @param judgeHash SHA-256 of its phrase list, where it has one
   * @param outcomes in the order of the set's prompts
   */
  public record SetReport(
      Measure measure,
      String judge,
      Optional<String> judgeHash,
      List<Outcome> outcomes,
      Degeneration degeneration) {
    static SetReport of(PromptSet set, List<String> answers) {
      var outcomes =
          IntStream.range(0, answers.size())
              .mapToObj(i -> set.judge().judge(set.cases().get(i), answers.get(i)))
              .toList();
      var hash =
          set.judge() instanceof PhraseList list
              ? Optional.of(list.hash())
              : Optional.<String>empty();
      return new SetReport(
          set.measure(), set.judgeName(), hash, outcomes, Degeneration.of(answers));
    }

    /** One answer that said nothing: a report of the same metrics. */
    static SetReport blank(PromptSet set) {
      return new SetReport(
          set.measure(),
          set.judgeName(),
          Optional.empty(),
          List.of(Outcome.OTHER),
          Degeneration.of(List.of("")));
    }

    /** Outcomes counted. */
    public Tally tally() {
      return Tally.of(outcomes);
    }

    private Map<String, Object> fields() {
      var fields = new LinkedHashMap<String, Object>();
      fields.put("measure", measure.id());
      fields.put("judge", judge);
      judgeHash.ifPresent(hash -> fields.put("judge_hash", hash));
      fields.put("outcomes", tally());
      measure.of(tally()).putInto(fields, measure.id());
      degeneration.putInto(fields);
      return fields;
    }
  }

  /**
   * The metrics by name: each measure over all its sets, each set's own as {@code set.measure}, and
   * degeneration; rates with their {@code _low} and {@code _high}. What gates refer to.
   */
  public Map<String, Double> metrics() {
    var metrics = new LinkedHashMap<String, Double>();
    for (var measure : Measure.values()) {
      var tally =
          sets.values().stream()
              .filter(set -> set.measure() == measure)
              .map(SetReport::tally)
              .reduce(Tally.NONE, Tally::plus);
      if (tally.n() > 0) {
        measure.of(tally).putInto(metrics, measure.id());
      }
    }
    sets.forEach(
        (name, set) ->
            set.measure().of(set.tally()).putInto(metrics, name + "." + set.measure().id()));
    degeneration.putInto(metrics);
    return metrics;
  }

  /** As written to files: the metrics over all sets, then each set in full. */
  @JsonValue
  public Map<String, Object> summary() {
    var fields = new LinkedHashMap<String, Object>();
    metrics()
        .forEach(
            (name, value) -> {
              if (name.indexOf('.') < 0) {
                fields.put(name, value);
              }
            });
    var details = new LinkedHashMap<String, Object>();
    sets.forEach((name, set) -> details.put(name, set.fields()));
    fields.put("sets", details);
    return fields;
  }
}
