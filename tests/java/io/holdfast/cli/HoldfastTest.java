package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;

class HoldfastTest {
  static Iterable<String> commands() {
    return new CommandLine(new Holdfast()).getSubcommands().keySet();
  }

  @ParameterizedTest
  @MethodSource("commands")
  void everyCommandExplainsItself(String command) {
    var help = Invocation.of(command, "--help");
    assertEquals(0, help.exitCode());
    assertTrue(help.out().startsWith("Usage: holdfast " + command), help.out());
    assertTrue(help.out().contains("--verbose"), "inherits the options of the root");
    assertEquals("", help.err());
  }

  @Test
  void theVersionIsOneLine() {
    var version = Invocation.of("--version");
    assertEquals(0, version.exitCode());
    assertTrue(version.out().matches("holdfast \\S.*\\R"), version.out());
  }

  @Test
  void aMistypedCommandIsWrongUsageWithTheNearest() {
    var typo = Invocation.of("valdiate", "x.yaml");
    assertEquals(2, typo.exitCode());
    assertTrue(typo.err().contains("Did you mean: holdfast validate"), typo.err());
  }

  @Test
  void aMistypedOptionIsWrongUsageWithTheNearest() {
    var typo = Invocation.of("validate", "x.yaml", "--verbos");
    assertEquals(2, typo.exitCode());
    assertTrue(typo.err().contains("--verbose"), typo.err());
    assertTrue(typo.err().contains("holdfast validate --help"), typo.err());
  }

  @Test
  void noCommandIsWrongUsage() {
    var none = Invocation.of();
    assertEquals(2, none.exitCode());
    assertTrue(none.err().contains("name a command"), none.err());
  }

  @Test
  void aMissingFileIsBadInputWithoutAStackTrace() {
    var missing = Invocation.of("validate", "no-such.yaml");
    assertEquals(3, missing.exitCode());
    assertEquals("holdfast: no-such.yaml: there is no such file\n", missing.err());
  }

  @Test
  void verboseAddsTheStackTrace() {
    var missing = Invocation.of("validate", "no-such.yaml", "--verbose");
    assertEquals(3, missing.exitCode());
    assertTrue(missing.err().contains("\tat io.holdfast"), missing.err());
    assertTrue(missing.err().contains("Caused by: java.nio.file.NoSuchFile"), missing.err());
  }

  @Test
  void shellCompletionKnowsTheCommands() {
    var script = Invocation.of("generate-completion");
    assertEquals(0, script.exitCode());
    assertTrue(script.out().contains("_picocli_holdfast_validate"));
  }
}
