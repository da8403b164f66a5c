package io.holdfast.cli.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.HoldfastException;
import io.holdfast.report.RunRow;
import io.holdfast.train.config.TrainConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The list of arms of a comparison, and its table. */
class ArmListTest {
  private static final Path STANDARD = Path.of("benchmarks/world/arms.yaml");

  @TempDir Path folder;

  private ArmList list(String text) throws IOException {
    return ArmList.load(Files.writeString(folder.resolve("arms.yaml"), text));
  }

  /** Each arm of the standard comparison is a configuration that train accepts. */
  @Test
  void everyStandardArmIsAConfiguration() throws IOException {
    var arms = ArmList.load(STANDARD);
    var ids = new HashSet<String>();
    var file = folder.resolve("arm.yaml");
    for (var cell : arms.cells()) {
      assertTrue(ids.add(cell.id()), cell.id() + " is there twice");
      var places = Map.of("seed", "1", "out", "o", "critic", "http://127.0.0.1:1/v1");
      Files.writeString(file, arms.yaml(cell.arm().set(), places));
      assertEquals(1, TrainConfig.load(file, List.of()).seed(), cell.id());
      if (cell.arm().first() != null) {
        Files.writeString(file, arms.yaml(cell.arm().first(), Map.of("seed", "2")));
        assertEquals(2, TrainConfig.load(file, List.of()).seed(), cell.id());
      }
    }
  }

  @Test
  void changesAreMergedAndNullsRemove() throws IOException {
    var arms =
        list(
            """
            run: {model: "${base}", optimizer: {lr: 1, eps: 2}, freeze: [a]}
            rows: {p: {poison: 0.5}}
            arms:
              - {name: x, on: [p], set: {optimizer: {lr: 3}, freeze: null}}
            """);
    var yaml = arms.yaml(arms.arms().getFirst().set(), Map.of("base", "B"));
    var words = yaml.replace("\"", "").replaceAll("\\s+", " ");
    assertEquals("--- model: B optimizer: lr: 3 eps: 2", words.strip());
    assertEquals("p/x", arms.cells().getFirst().id());
  }

  @Test
  void mistakesAreNamed() {
    var rows =
        assertThrows(
            HoldfastException.class,
            () -> list("run: {}\nrows: {p: {poison: 0}}\narms:\n  - {name: x, on: [q]}\n"));
    assertTrue(rows.getMessage().contains("'q'"), rows.getMessage());
    var key =
        assertThrows(
            HoldfastException.class, () -> list("run: {}\nrows: {p: {poisn: 0}}\narms: []\n"));
    assertTrue(key.getMessage().contains("poisn"), key.getMessage());
    assertTrue(key.getMessage().contains("arms.yaml:2"), key.getMessage());
  }

  @Test
  void theTableHasMeansOverSeedsAndCostsBesidePlain() {
    var table = new ComparisonTable();
    table.add(result("plain", 0, 0.8, 10));
    table.add(result("plain", 1, 0.6, 30));
    table.add(result("held", 0, 0.1, 30));
    var lines = table.markdown().lines().toList();
    assertTrue(lines.get(2).contains("70.0 (60.0-80.0)"), lines.get(2));
    assertTrue(lines.get(2).contains("1.00 |"), lines.get(2));
    assertTrue(lines.get(3).contains("10.0 (5.0-20.0)"), lines.get(3));
    assertTrue(lines.get(3).contains("1.50 |"), lines.get(3));
    assertEquals(4, table.csv().lines().count());
  }

  private static ArmResult result(String name, long seed, double asr, double cost) {
    var metrics =
        Map.of("asr", asr, "asr_low", asr / 2, "asr_high", asr * 2, "cpu_ms_per_step", cost);
    return new ArmResult("p", seed, "key", new RunRow(name, metrics, 1, 2, 3));
  }

  @Test
  void aResultIsReadAsItWasWritten() {
    var written = result("plain", 3, 0.25, 7);
    var file = folder.resolve("result.json");
    written.write(file);
    var read = ArmResult.read(file).orElseThrow();
    assertEquals(written.row().metrics(), read.row().metrics());
    assertEquals("key", read.key());
    assertEquals(3, read.seed());
  }
}
