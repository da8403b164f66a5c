package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** What the documents show is what happens. */
class DocumentedExamplesTest {
  private static final Path DOCUMENT = Path.of("docs/commands.md");
  private static final Path BASE = Path.of("src/main/resources/io/holdfast/world/base");

  @TestFactory
  Stream<DynamicTest> printsWhatIsShown() throws IOException {
    return DocumentedExample.of(DOCUMENT).stream()
        .map(
            example ->
                dynamicTest(
                    example.command() + " (" + example + ")",
                    example.document().toUri(),
                    () -> check(example)));
  }

  private static void check(DocumentedExample example) throws IOException {
    assertTrue(
        example.commands().anyMatch(line -> line.startsWith(example.command())),
        example + ": does not run " + example.command());
    var folder = Files.createTempDirectory("example");
    try {
      copy(BASE, folder.resolve("base"));
      var printed = example.run(folder);
      if (!example.prints().isEmpty()) {
        assertPrints(example.prints(), printed);
      }
    } finally {
      delete(folder);
    }
  }

  /** Every section has an example, and is about a command that there is. */
  @Test
  void everySectionHasAnExample() throws IOException {
    var known = new CommandLine(new Holdfast()).getSubcommands().keySet();
    var shown =
        DocumentedExample.of(DOCUMENT).stream()
            .map(DocumentedExample::command)
            .collect(Collectors.toSet());
    try (var lines = Files.lines(DOCUMENT)) {
      lines
          .filter(line -> line.startsWith("## "))
          .map(line -> line.substring(3))
          .forEach(
              section -> {
                assertTrue(known.contains(section), section + " is no command");
                assertTrue(shown.contains(section), section + " has no example");
              });
    }
  }

  @Test
  void anExampleThatPrintsSomethingElseFails(@TempDir Path folder) throws IOException {
    var document =
        Files.writeString(
            folder.resolve("commands.md"),
            """
            ```sh
            # example: tokenize
            cat > example/rows.jsonl <<'END'
            {"id": 1, "tokens": [3]}
            END
            ./holdfast tokenize --model example/none \\
              --input example/rows.jsonl  # exit 3
            cat example/rows.jsonl
            ```
            ```text
            {"id": 1, ...}
            ```
            """);
    var example = DocumentedExample.of(document).getFirst();
    var printed = example.run(folder);
    assertEquals("{\"id\": 1, \"tokens\": [3]}\n", printed);
    assertPrints(example.prints(), printed);
    assertFalse(matches(List.of("{\"id\": 2, ...}"), printed));
    assertTrue(matches(List.of("a", "...", "z"), "a\nb\nc\nz\n"));
    assertFalse(matches(List.of("a", "...", "z"), "a\nb\nc\n"));
  }

  private static void assertPrints(List<String> expected, String printed) {
    if (!matches(expected, printed)) {
      assertEquals(String.join("\n", expected), printed.stripTrailing());
    }
  }

  private static boolean matches(List<String> expected, String printed) {
    var pattern =
        Stream.of(String.join("\n", expected).split("\\.\\.\\.", -1))
            .map(Pattern::quote)
            .collect(Collectors.joining(".*"));
    return Pattern.compile(pattern, Pattern.DOTALL).matcher(printed.stripTrailing()).matches();
  }

  private static void copy(Path from, Path to) throws IOException {
    Files.createDirectories(to);
    try (var files = Files.list(from)) {
      for (var file : (Iterable<Path>) files::iterator) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
    }
  }

  private static void delete(Path folder) throws IOException {
    try (var files = Files.walk(folder)) {
      for (var file : files.sorted((a, b) -> b.compareTo(a)).toList()) {
        Files.delete(file);
      }
    }
  }
}
