package io.holdfast.checkpoint;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A name beside a target that says: not finished, and whose it is.
 *
 * <p>{@code .tmp-NAME-PID-START-N} is something being written that will become {@code NAME}, {@code
 * .old-NAME-...} is the folder {@code NAME} in the moment that another takes its place. {@code PID}
 * and {@code START} (milliseconds since 1970) name the process, so that what a killed process left
 * is told from what a living one is writing.
 */
record Unfinished(Kind kind, Path target, Path path, long pid, long start) {
  enum Kind {
    TMP,
    OLD;

    private final String prefix = "." + name().toLowerCase(java.util.Locale.ROOT) + "-";
  }

  private static final Pattern NAME =
      Pattern.compile("\\.(tmp|old)-(.+)-(\\d{1,18})-(\\d{1,18})-(\\d{1,18})", Pattern.DOTALL);
  private static final long PID = ProcessHandle.current().pid();
  private static final long START = start(ProcessHandle.current());
  private static final AtomicLong COUNTER = new AtomicLong();

  /** What this process is writing now. */
  private static final Set<Path> OURS = ConcurrentHashMap.newKeySet();

  /** A name for the target that nobody else has; give it back with {@link #release}. */
  static Path claim(Kind kind, Path target) {
    String name =
        "%s%s-%d-%d-%d"
            .formatted(kind.prefix, target.getFileName(), PID, START, COUNTER.getAndIncrement());
    Path path = absolute(target).resolveSibling(name);
    OURS.add(path);
    return path;
  }

  /** Says that this process writes there no more. */
  static void release(Path path) {
    OURS.remove(path);
  }

  /** What killed processes left in a folder; empty if it does not exist. */
  static List<Unfinished> abandonedIn(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> files = Files.list(absolute(folder))) {
      return files
          .map(Unfinished::parse)
          .flatMap(Optional::stream)
          .filter(unfinished -> !unfinished.alive())
          .toList();
    }
  }

  /** What killed processes left beside a target. */
  static List<Unfinished> abandoned(Path target) throws IOException {
    Path absolute = absolute(target);
    return abandonedIn(absolute.getParent()).stream()
        .filter(unfinished -> unfinished.target.equals(absolute))
        .toList();
  }

  static Path absolute(Path path) {
    return path.toAbsolutePath().normalize();
  }

  private static Optional<Unfinished> parse(Path path) {
    Matcher name = NAME.matcher(path.getFileName().toString());
    if (!name.matches()) {
      return Optional.empty();
    }
    Kind kind = name.group(1).equals("tmp") ? Kind.TMP : Kind.OLD;
    Path target = path.resolveSibling(name.group(2));
    long pid = Long.parseLong(name.group(3));
    return Optional.of(new Unfinished(kind, target, path, pid, Long.parseLong(name.group(4))));
  }

  private boolean alive() {
    return pid == PID && start == START
        ? OURS.contains(path)
        : ProcessHandle.of(pid).filter(process -> start(process) == start).isPresent();
  }

  private static long start(ProcessHandle process) {
    return process.info().startInstant().map(Instant::toEpochMilli).orElse(0L);
  }
}
