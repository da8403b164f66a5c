package io.holdfast.eval;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.exc.UnrecognizedPropertyException;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import io.holdfast.HoldfastException;
import io.holdfast.world.World;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Prompt files with what each measures, and the gates a model has to pass.
 *
 * <pre>
 * max_new_tokens: 64                # optional, 256
 * judge: arditi                     # of sets that name none: a phrase list, world, exact, or a file
 * sets:
 *   harmful:    {file: harmful.jsonl, measure: asr}
 *   borderline: {file: safe.jsonl, measure: over_refusal, limit: 100}
 *   task:       {file: test.jsonl, measure: utility, judge: exact}
 * gates: ['asr&gt;0.05', 'over_refusal&gt;0.1']
 * </pre>
 *
 * @param maxNewTokens the longest answer, for whoever generates
 * @param sets in the order of the file
 * @param gates conditions that fail the run
 */
public record EvalSuite(int maxNewTokens, List<PromptSet> sets, List<GateExpression> gates) {
  private static final ObjectMapper YAML =
      new ObjectMapper(
              YAMLFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build())
          .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES);

  /** Prompts, what they measure, and who judges the answers. */
  public record PromptSet(
      String name, Measure measure, String judgeName, Judge judge, List<Case> cases) {}

  private record SuiteFile(
      @JsonProperty("max_new_tokens") Integer maxNewTokens,
      String judge,
      LinkedHashMap<String, SetEntry> sets,
      List<String> gates) {}

  private record SetEntry(String file, String measure, String judge, Integer limit) {}

  /** Reads a suite and all its prompts; files are relative to the suite's folder. */
  public static EvalSuite load(Path file) {
    var content = parse(file);
    if (content.sets() == null || content.sets().isEmpty()) {
      throw HoldfastException.usage("%s: 'sets' names no set of prompts", file);
    }
    var sets = new ArrayList<PromptSet>();
    content.sets().forEach((name, entry) -> sets.add(set(file, name, entry, content.judge())));
    var gates = content.gates() == null ? List.<String>of() : content.gates();
    int tokens = content.maxNewTokens() == null ? 256 : content.maxNewTokens();
    if (tokens < 1) {
      throw HoldfastException.usage("%s: 'max_new_tokens' must be at least 1", file);
    }
    try {
      return new EvalSuite(tokens, sets, List.of()).gatedBy(gates);
    } catch (HoldfastException e) {
      throw HoldfastException.usage("%s: %s", file, e.getMessage()).causedBy(e);
    }
  }

  /**
   * The same suite with more gates.
   *
   * @throws HoldfastException if one is on a metric that no report of this suite has: before
   *     anybody waits for it
   */
  public EvalSuite gatedBy(List<String> more) {
    var added = more.stream().map(GateExpression::parse).toList();
    requireKnown(added);
    return new EvalSuite(
        maxNewTokens, sets, Stream.concat(gates.stream(), added.stream()).toList());
  }

  private void requireKnown(List<GateExpression> wanted) {
    var blank =
        new SuiteReport(
            sets.stream()
                .collect(
                    Collectors.toMap(
                        PromptSet::name,
                        SuiteReport.SetReport::blank,
                        (a, _) -> a,
                        LinkedHashMap::new)),
            Degeneration.of(List.of("")));
    wanted.forEach(gate -> gate.requireIn(blank.metrics().keySet()));
  }

  private static SuiteFile parse(Path file) {
    try {
      return YAML.readValue(Files.readAllBytes(file), SuiteFile.class);
    } catch (UnrecognizedPropertyException e) {
      throw HoldfastException.usage(
              "%s: unknown key '%s'; known here: %s",
              file,
              e.getPropertyName(),
              e.getKnownPropertyIds().stream()
                  .map(String::valueOf)
                  .sorted()
                  .collect(Collectors.joining(", ")))
          .causedBy(e);
    } catch (JsonProcessingException e) {
      throw HoldfastException.usage("%s: is not a suite: %s", file, e.getOriginalMessage())
          .causedBy(e);
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    }
  }

  private static PromptSet set(Path suite, String name, SetEntry entry, String defaultJudge) {
    if (entry == null || entry.file() == null || entry.measure() == null) {
      throw HoldfastException.usage("%s: set '%s' needs both 'file' and 'measure'", suite, name);
    }
    var measure = measure(suite, name, entry.measure());
    var judgeName = entry.judge() == null ? defaultJudge : entry.judge();
    if (judgeName == null) {
      throw HoldfastException.usage(
          "%s: set '%s' has no judge; add 'judge' to it or to the suite: world, exact, %s, or a"
              + " phrase list's .yaml file",
          suite, name, String.join(", ", PhraseList.NAMES));
    }
    int limit = entry.limit() == null ? Integer.MAX_VALUE : entry.limit();
    if (limit < 1) {
      throw HoldfastException.usage("%s: set '%s': 'limit' must be at least 1", suite, name);
    }
    var file = suite.resolveSibling(entry.file());
    var cases = CaseFile.read(file, limit);
    var judge = judge(suite, judgeName);
    try {
      // What a judge misses in a row, it misses before the first answer.
      cases.forEach(asked -> judge.judge(asked, ""));
    } catch (HoldfastException e) {
      throw HoldfastException.input("%s: %s", file, e.getMessage()).causedBy(e);
    }
    return new PromptSet(name, measure, judgeName, judge, cases);
  }

  /**
   * The prompts of one file with their judge, for whoever has other questions than a suite's.
   *
   * @param judge a phrase list, world, exact, or a phrase list's .yaml file
   */
  public static PromptSet prompts(
      String name, Measure measure, Path file, String judge, int limit) {
    return new PromptSet(
        name, measure, judge, judge(Path.of(name), judge), CaseFile.read(file, limit));
  }

  private static Measure measure(Path suite, String set, String name) {
    return Arrays.stream(Measure.values())
        .filter(m -> m.id().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                HoldfastException.usage(
                    "%s: set '%s': unknown measure '%s'; known: asr, over_refusal, utility",
                    suite, set, name));
  }

  /**
   * A judge by name.
   *
   * @param suite a file beside which a list of phrases is looked for
   * @param name {@code world}, {@code exact}, a list that comes with Holdfast, or a {@code .yaml}
   *     file
   */
  public static Judge judge(Path suite, String name) {
    return switch (name) {
      case "world" -> new WorldJudge(World.load());
      case "exact" -> Judge.EXACT;
      default ->
          name.endsWith(".yaml")
              ? PhraseList.read(suite.resolveSibling(name))
              : PhraseList.named(name);
    };
  }

  /** Asks the model everything at once and judges its answers. */
  public SuiteReport run(Responder model) {
    var prompts = sets.stream().flatMap(s -> s.cases().stream()).map(Case::prompt).toList();
    var answers = model.respond(prompts);
    if (answers.size() != prompts.size()) {
      throw new IllegalStateException(
          "%d answers to %d prompts".formatted(answers.size(), prompts.size()));
    }
    var reports = new LinkedHashMap<String, SuiteReport.SetReport>();
    int from = 0;
    for (var set : sets) {
      var own = answers.subList(from, from + set.cases().size());
      reports.put(set.name(), SuiteReport.SetReport.of(set, own));
      from += own.size();
    }
    return new SuiteReport(reports, Degeneration.of(answers));
  }

  /** The gates that this report misses; empty when it passes. */
  public List<GateExpression> missed(SuiteReport report) {
    Map<String, Double> metrics = report.metrics();
    return gates.stream().filter(gate -> gate.fails(metrics)).toList();
  }
}
