package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is measured and said; never how fast it is. */
class BenchTrainTest {
  @TempDir private Path folder;
  private Path config;

  @BeforeEach
  void write() throws IOException {
    var row =
        """
        {"messages": [{"role": "user", "content": "name a tool"}, \
        {"role": "assistant", "content": "the small one"}], "risk": 0.5}
        """;
    var rows = Files.writeString(folder.resolve("rows.jsonl"), row.repeat(5));
    config =
        Files.writeString(
            folder.resolve("run.yaml"),
            """
            model: src/main/resources/io/holdfast/world/base
            data: {train: [%s], max_length: 64}
            steps: 5
            batch_size: 2
            guard: {kl: {risk_column: risk}}
            output: %s
            """
                .formatted(rows, folder.resolve("out")));
  }

  private Invocation bench(String... more) {
    var all = new java.util.ArrayList<>(List.of("bench", "train"));
    all.addAll(List.of(more));
    return Invocation.of(all.toArray(String[]::new));
  }

  @Test
  void aGuardedRunIsBesideThePlainOneAndNothingIsKept() throws IOException {
    var csv = folder.resolve("steps.csv");
    var done = bench("" + config, "--steps", "3", "--rounds", "1", "--csv", "" + csv);
    assertEquals(0, done.exitCode(), done.err());
    var lines = done.out().lines().toList();
    assertTrue(lines.get(1).matches("matrix product \\d+ GFLOP/s, copy .*"), done.out());
    assertTrue(lines.get(5).startsWith("| without guards "), done.out());
    assertTrue(lines.get(5).endsWith(" 1.000 |"), done.out());
    assertTrue(lines.get(6).startsWith("| as configured "), done.out());
    assertEquals(7, lines.size());
    assertFalse(Files.exists(folder.resolve("out")));
    assertTrue(done.err().contains("round 1 of 1: as configured"), done.err());
    var written = Files.readAllLines(csv);
    assertEquals(
        "run,seconds,tokens_per_second,flops,share_of_ceiling,ratio_to_first", written.get(2));
    // Both learn the same tokens, so that both have the same products to do.
    var flops = written.stream().skip(3).map(line -> line.split(",")[3]).distinct().toList();
    assertEquals(1, flops.size(), written.toString());
    assertTrue(Double.parseDouble(flops.getFirst()) > 1e6);
  }

  @Test
  void aRunWithoutGuardsIsAlone() {
    var done = bench("-q", "" + config, "--set", "guard={}", "--steps", "1", "--rounds", "1");
    assertEquals(0, done.exitCode(), done.err());
    assertFalse(done.out().contains("as configured"), done.out());
    assertEquals("", done.err());
  }

  @Test
  void whatCannotBeMeasuredIsSaid() {
    var few = bench("-q", "" + config, "--steps", "4");
    assertEquals(2, few.exitCode());
    assertTrue(few.err().contains("ends after 5 steps"), few.err());
    assertTrue(few.err().contains("ask for 3 at most"), few.err());
    assertEquals(2, bench("--set", "steps=4").exitCode());
    assertEquals(2, bench("--rounds", "0").exitCode());
    var none = bench("" + folder.resolve("none.yaml"));
    assertEquals(3, none.exitCode());
    assertTrue(none.err().contains("none.yaml: there is no such file"), none.err());
  }

  @Test
  void theDemosRunsAreMeasuredWhereNoneIsNamed() {
    var done = bench("-q", "--steps", "1", "--rounds", "1");
    assertEquals(0, done.exitCode(), done.err());
    var names = done.out().lines().skip(5).map(line -> line.split("\\|")[1].strip()).toList();
    assertEquals(
        Arrays.asList("plain fine-tuning", "subspace guard", "KL guard", "both guards"), names);
  }
}
