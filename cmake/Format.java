import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * Formats, or checks the format of, every Java and C++ file: {@code java cmake/Format.java
 * check|apply google-java-format.jar}. C++ needs clang-format; where it is missing the check of
 * those files is skipped and says so.
 */
final class Format {
  private static final List<String> ROOTS =
      List.of("src/main", "tests/java", "tests/native", "benchmarks", "cmake");

  public static void main(String[] arguments) throws Exception {
    boolean apply = arguments[0].equals("apply");
    List<String> java = new ArrayList<>();
    for (String module : List.of("api", "code", "file", "main", "parser", "tree", "util")) {
      if (java.isEmpty()) {
        java.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
      }
      java.add("--add-exports=jdk.compiler/com.sun.tools.javac." + module + "=ALL-UNNAMED");
    }
    java.addAll(List.of("-jar", arguments[1]));
    java.addAll(apply ? List.of("--replace") : List.of("--dry-run", "--set-exit-if-changed"));
    boolean clean = run(java, files(".java"));

    List<String> cpp = files(".cpp", ".hpp", ".h", ".cu", ".cuh");
    List<String> clang = new ArrayList<>(List.of("clang-format", "--style=file"));
    clang.addAll(apply ? List.of("-i") : List.of("--dry-run", "--Werror"));
    if (!onPath("clang-format")) {
      System.err.println(
          "holdfast: clang-format not found, C++ format not checked; remedy: apt-get install"
              + " clang-format");
    } else if (!cpp.isEmpty()) {
      clean &= run(clang, cpp);
    }
    if (!clean) {
      System.err.println(
          "holdfast: files are not formatted; remedy: mvn process-test-classes -Dformat=apply");
      System.exit(1);
    }
  }

  private static boolean onPath(String tool) {
    return Stream.of(System.getenv("PATH").split(":"))
        .anyMatch(folder -> Files.isExecutable(Path.of(folder, tool)));
  }

  private static List<String> files(String... endings) throws IOException {
    List<String> found = new ArrayList<>();
    for (String root : ROOTS) {
      if (Files.isDirectory(Path.of(root))) {
        try (Stream<Path> all = Files.walk(Path.of(root))) {
          all.map(Path::toString)
              .filter(name -> Stream.of(endings).anyMatch(name::endsWith))
              .sorted()
              .forEach(found::add);
        }
      }
    }
    return found;
  }

  private static boolean run(List<String> command, List<String> files) throws Exception {
    List<String> whole = new ArrayList<>(command);
    whole.addAll(files);
    return new ProcessBuilder(whole).inheritIO().start().waitFor() == 0;
  }
}
