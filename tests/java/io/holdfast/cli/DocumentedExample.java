package io.holdfast.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * An example of a command in a document: a fenced block of {@code sh} that begins with {@code #
 * example: COMMAND}, and, where a fenced block of {@code text} follows at once, what it prints.
 *
 * <p>The script is run without a shell and may hold comments, {@code ./holdfast ...}, {@code cat
 * FILE} and {@code cat > FILE <<'END'}; a line goes on after a backslash, {@code # exit 3} behind a
 * command says how it ends. Its files lie in {@code example/}, for which a folder stands in.
 *
 * @param line of the document that the script begins on
 */
record DocumentedExample(
    Path document, int line, String command, List<String> script, List<String> prints) {
  private static final Pattern NAME = Pattern.compile("# example: (\\S+).*");
  private static final Pattern HERE = Pattern.compile("cat > (\\S+) <<'(\\w+)'");
  private static final Pattern EXIT = Pattern.compile("(.*?)\\s+# exit (\\d+)");
  private static final Pattern WORD = Pattern.compile("'([^']*)'|\"([^\"]*)\"|(\\S+)");
  private static final String FOLDER = "example/";

  /** The examples of a document, in order. */
  static List<DocumentedExample> of(Path document) throws IOException {
    var lines = Files.readAllLines(document);
    var examples = new ArrayList<DocumentedExample>();
    for (int i = 0; i < lines.size(); i++) {
      var name = i + 1 < lines.size() ? NAME.matcher(lines.get(i + 1)) : null;
      if (lines.get(i).equals("```sh") && name.matches()) {
        int from = i + 1;
        var script = fenced(lines, from);
        i = from + script.size();
        List<String> prints = List.of();
        if (i + 1 < lines.size() && lines.get(i + 1).equals("```text")) {
          prints = fenced(lines, i + 2);
          i += 2 + prints.size();
        }
        examples.add(new DocumentedExample(document, from + 1, name.group(1), script, prints));
      }
    }
    return examples;
  }

  private static List<String> fenced(List<String> lines, int from) {
    return lines.subList(from, lines.size()).stream().takeWhile(l -> !l.equals("```")).toList();
  }

  /** The command lines of the script, without {@code ./holdfast}. */
  Stream<String> commands() {
    return script.stream()
        .filter(line -> line.startsWith("./holdfast "))
        .map(line -> line.substring("./holdfast ".length()));
  }

  /**
   * Runs the script.
   *
   * @return what it printed, {@code folder} written as {@code example/}
   */
  String run(Path folder) throws IOException {
    var printed = new StringBuilder();
    for (int i = 0; i < script.size(); i++) {
      var line = new StringBuilder(script.get(i));
      while (line.toString().endsWith("\\")) {
        line.setLength(line.length() - 1);
        line.append(script.get(++i).strip());
      }
      var here = HERE.matcher(line);
      if (here.matches()) {
        var end = here.group(2);
        var text =
            script.subList(i + 1, script.size()).stream()
                .takeWhile(l -> !l.equals(end))
                .map(l -> l + "\n")
                .toList();
        Files.writeString(
            Path.of(inFolder(here.group(1), folder)), inFolder(String.join("", text), folder));
        i += text.size() + 1;
      } else if (!line.isEmpty() && line.charAt(0) != '#') {
        printed.append(printedBy(line.toString(), folder));
      }
    }
    return printed.toString().replace(folder + "/", FOLDER);
  }

  private String printedBy(String line, Path folder) throws IOException {
    var exit = EXIT.matcher(line);
    boolean ends = exit.matches();
    var words =
        WORD.matcher(ends ? exit.group(1) : line)
            .results()
            .map(
                word ->
                    Stream.of(1, 2, 3)
                        .map(word::group)
                        .filter(group -> group != null)
                        .collect(Collectors.joining()))
            .map(word -> inFolder(word, folder))
            .toList();
    return switch (words.getFirst()) {
      case "cat" -> Files.readString(Path.of(words.get(1)));
      case "./holdfast" -> {
        var done = Invocation.of(words.subList(1, words.size()).toArray(String[]::new));
        int expected = ends ? Integer.parseInt(exit.group(2)) : 0;
        if (done.exitCode() != expected) {
          throw new AssertionError(
              "%s: '%s' ended with %d: %s".formatted(this, line, done.exitCode(), done.err()));
        }
        yield done.out();
      }
      default -> throw new AssertionError("%s: cannot run '%s'".formatted(this, line));
    };
  }

  private static String inFolder(String text, Path folder) {
    return text.replace(FOLDER, folder + "/");
  }

  @Override
  public String toString() {
    return document + ":" + line;
  }
}
