package io.holdfast.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunsReportTest {
  @TempDir Path folder;

  /** A run of some steps whose loss is the step's number, at rates of 100, 200, ... tokens/s. */
  private Path run(String name, int steps, String settings) throws IOException {
    var path = Files.createDirectories(folder.resolve(name));
    Files.writeString(
        path.resolve("metrics.jsonl"),
        IntStream.rangeClosed(1, steps)
            .mapToObj(
                step ->
                    "{\"step\":%d,\"loss\":%d.0,\"grad_norm\":null,\"tokens_per_second\":%d}%n"
                        .formatted(step, step, 100 * step))
            .collect(Collectors.joining()));
    Files.writeString(path.resolve("run.yaml"), settings + "output: " + path + "\n");
    Files.writeString(path.resolve("manifest.json"), "{\"seed\": 7, \"guards\": [\"kl\"]}");
    return path;
  }

  private static RunsReport report(Path... runs) {
    return RunsReport.of(List.of(runs).stream().map(RunLog::read).toList());
  }

  @Test
  void theEndOfARunIsTheMeanOfItsLastStepsAndTheMedianRate() throws IOException {
    var table = report(run("one", 25, ""), run("two", 4, "")).summary();
    assertEquals(List.of("run", "steps", "loss", "tokens/s"), table.head());
    // Steps 16 to 25; the 13th rate of 25. Steps 1 to 4; between the second and third of 4.
    assertEquals(
        List.of(List.of("one", "25", "20.50", "1,300"), List.of("two", "4", "2.500", "250")),
        table.rows());
  }

  @Test
  void evaluationsStandWithTheirIntervalsAndGates() throws IOException {
    var judged = run("judged", 2, "");
    Files.writeString(
        judged.resolve("evals.jsonl"),
        """
        {"step":1,"asr":0.5,"asr_low":0.4,"asr_high":0.6,"sets":{},"missed_gates":["asr>0.1"]}
        {"step":2,"asr":0.25,"asr_low":0.2,"asr_high":0.35,"utility":1.0,"utility_low":0.9,"utility_high":1.0,"missed_gates":["asr>0.1","utility<2.0"]}
        """);
    var report = report(judged, run("other", 2, ""));
    assertEquals(
        List.of("run", "steps", "loss", "tokens/s", "asr %", "utility %", "missed gates"),
        report.summary().head());
    assertEquals(
        List.of("25.0 [20.0, 35.0]", "100.0 [90.0, 100.0]", "asr>0.1, utility<2.0"),
        report.summary().rows().getFirst().subList(4, 7));
    assertEquals(List.of("-", "-", "-"), report.summary().rows().get(1).subList(4, 7));
    assertTrue(report.csv().contains("judged,eval/asr,1,0.5,0.4,0.6"), report.csv());
    assertFalse(report.csv().contains("asr_low"), report.csv());
    assertFalse(report.csv().contains("grad_norm"), "null is no number");
  }

  @Test
  void geometryIsThatOfTheLayerWhereRefusalIsReadAndDriftAMean() throws IOException {
    var run = run("run", 1, "");
    Files.writeString(
        run.resolve("geometry.jsonl"),
        """
        {"step":3,"refusal_layer":2,"figures":[{"measure":"c_cos","layer":1,"value":0.1},{"measure":"c_cos","layer":2,"value":0.7,"low":0.6,"high":0.8},{"measure":"hrci","value":0.3}]}
        """);
    Files.writeString(
        run.resolve("drift.jsonl"),
        """
        {"step":3,"drift":[{"position":"prompt_end","layer":1,"energy":0.2},{"position":"prompt_end","layer":2,"energy":0.4,"interference":null}]}
        """);
    var csv = report(run).csv();
    assertTrue(csv.contains("run,geometry/c_cos,3,0.7,0.6,0.8"), csv);
    assertTrue(csv.contains("run,geometry/hrci,3,0.3,,"), csv);
    assertFalse(csv.contains("0.1"), csv);
    assertTrue(csv.contains("run,drift/prompt_end/energy,3,0.3"), csv);
  }

  @Test
  void settingsThatDifferAreNamedByTheirKeys() throws IOException {
    var one = run("one", 1, "seed: 1\nguard: {kl: {weight: 1}}\ntune: full\n");
    var two = run("two", 1, "seed: 2\ntune: full\nguard: {}\n");
    var table = report(one, two).differences().orElseThrow();
    assertEquals(List.of("key", "one", "two"), table.head());
    assertEquals(
        List.of(
            List.of("seed", "1", "2"),
            List.of("guard.kl.weight", "1", "-"),
            List.of("guard", "-", "{}")),
        table.rows());
    assertTrue(report(one).differences().isEmpty());
  }

  @Test
  void runsOfOneNameAreToldApart() throws IOException {
    var names =
        report(run("a/run", 1, ""), run("b/run", 1, "")).runs().stream().map(RunLog::name).toList();
    assertEquals(List.of("run (1)", "run (2)"), names);
  }

  /** A chart of many steps has as many points as can be seen, and goes to the last step. */
  @Test
  void longRunsAreDrawnAsMeans() throws IOException {
    var html = report(run("long", 1000, "")).page().html();
    var path = html.substring(html.indexOf("<figcaption>loss"));
    path = path.substring(0, path.indexOf("</figure>"));
    // 112 means of 9 steps; the last one, of a single step, is the step itself.
    assertEquals(112 - 1, path.chars().filter(c -> c == 'L').count());
    assertFalse(path.contains("<circle"), "a curve, not points");
    assertTrue(html.contains("<td>7</td>"), "the manifest's seed");
  }

  @Test
  void whatIsNoRunOrBrokenIsNamed() throws IOException {
    var error = assertThrows(HoldfastException.class, () -> RunLog.read(folder));
    assertEquals(ExitCode.INPUT, error.exitCode());
    assertTrue(error.getMessage().startsWith(folder + ": is not the folder of a run"));
    var run = run("run", 3, "");
    var metrics = run.resolve("metrics.jsonl");
    var whole = Files.readString(metrics);
    Files.writeString(metrics, whole + "{\"step\":4,\"lo");
    assertEquals(3, RunLog.read(run).series("train/loss").orElseThrow().last().step());
    Files.writeString(metrics, "{\"step\":\n" + whole);
    error = assertThrows(HoldfastException.class, () -> RunLog.read(run));
    assertTrue(error.getMessage().startsWith(metrics + ":1: is not JSON"), error.getMessage());
  }
}
