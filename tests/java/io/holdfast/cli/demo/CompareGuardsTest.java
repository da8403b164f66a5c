package io.holdfast.cli.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.cli.Holdfast;
import io.holdfast.torch.Scope;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A comparison of two steps a run, on the base that comes along. */
class CompareGuardsTest {
  @TempDir Path folder;

  private final StringWriter err = new StringWriter();

  private String compare(ExitCode expected, String... more) {
    var arguments = new ArrayList<String>();
    arguments.addAll(List.of("bench", "guards", folder.resolve("arms.yaml").toString()));
    arguments.addAll(
        List.of("--quick", "--seeds", "0", "--out", folder.resolve("out").toString(), "--bases"));
    arguments.add(folder.resolve("bases").toString());
    arguments.addAll(List.of(more));
    var out = new StringWriter();
    err.getBuffer().setLength(0);
    int code =
        Holdfast.run(new PrintWriter(out), new PrintWriter(err), arguments.toArray(String[]::new));
    assertEquals(expected.code(), code, err.toString());
    return out.toString();
  }

  @Test
  void runsEachArmOnceAndTellsOfThoseThatFail() throws IOException {
    var base = folder.resolve("bases/seed-0");
    BaseModel.unpack(base.resolve("base"));
    BaseModel.unpack(base.resolve("unaligned"));
    Files.writeString(
        folder.resolve("arms.yaml"),
        """
        run:
          model: ${base}
          data: {train: ["${rows}"], max_length: 128}
          steps: 2
          batch_size: 2
          checkpoint: {every: 0, keep: 1}
          seed: ${seed}
          output: ${out}
        rows:
          p: {poison: 0.1}
        arms:
          - {name: plain, on: [p]}
          - name: twice
            on: [p]
            first: {data: {train: ["${safety}"]}}
            set: {freeze: null, tune: lora, guard: {kl: {risk_column: probe}}}
          - name: judged
            on: [p]
            set: {guard: {risk: {critic: {url: "${critic}", model: exact}}, kl: {beta_min: 0}}}
          - {name: broken, on: [p], set: {freeze: [nothing]}}
        """);
    assertEquals("p/plain\np/twice\np/judged\np/broken\n", compare(ExitCode.OK, "--list"));
    compare(ExitCode.USAGE, "--arms", "q/*");
    var table = compare(ExitCode.OK, "--arms", "p/[pt]*", "--arms", "p/judged");
    assertTrue(table.contains("| plain  |") && table.contains("| judged |"), table);
    assertTrue(table.contains("| base   |"), table);
    assertFalse(err.toString().contains("done before"), err.toString());

    assertEquals(table, compare(ExitCode.OK, "--table"));

    compare(ExitCode.DIVERGED);
    assertTrue(err.toString().contains("p/plain: done before"), err.toString());
    assertTrue(err.toString().contains("p/twice: done before"), err.toString());
    // The critic's port is another in every process.
    assertTrue(err.toString().contains("p/judged: done before"), err.toString());
    assertTrue(err.toString().contains("p/broken: freeze"), err.toString());
    assertTrue(Files.readString(folder.resolve("out/table.csv")).contains("p,\"twice\",0,"));
    assertEquals(0, Scope.live(), "scopes left open");
  }
}
