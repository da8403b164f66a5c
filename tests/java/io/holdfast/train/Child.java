package io.holdfast.train;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Another process with the classes of this one and the product's own JVM options. */
public final class Child {
  private final List<String> command = new ArrayList<>();
  private final List<String> arguments = new ArrayList<>();

  public Child(Class<?> main, String... arguments) {
    this.arguments.add(main.getName());
    this.arguments.addAll(Arrays.asList(arguments));
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    try {
      command.add("@" + Path.of("src/main/jvm.options").toRealPath());
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    command.add("-cp");
    command.add(
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")));
  }

  /** Adds JVM options. */
  public Child with(String... options) {
    command.addAll(Arrays.asList(options));
    return this;
  }

  /** Starts it; what it says on stderr goes where this process says it. */
  public Process start() throws IOException {
    var all = new ArrayList<>(command);
    all.addAll(arguments);
    return new ProcessBuilder(all).redirectError(ProcessBuilder.Redirect.INHERIT).start();
  }
}
