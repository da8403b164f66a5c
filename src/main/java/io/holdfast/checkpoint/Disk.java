package io.holdfast.checkpoint;

import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/** The few operations that change the disk. Each passes one gate, where tests fail the n-th. */
final class Disk {
  /** Called before each operation; throwing makes the operation fail. */
  @FunctionalInterface
  interface Gate {
    void pass(String operation, Path path) throws IOException;
  }

  /** Unbound but in tests. */
  static final ScopedValue<Gate> GATE = ScopedValue.newInstance();

  private Disk() {}

  private static void gate(String operation, Path path) throws IOException {
    if (GATE.isBound()) {
      GATE.get().pass(operation, path);
    }
  }

  /** A new file that is written from start to end; {@link #write} takes the whole buffer. */
  static final class Sink implements WritableByteChannel {
    private final Path path;
    private final FileChannel channel;

    Sink(Path path) throws IOException {
      this(path, StandardOpenOption.CREATE_NEW);
    }

    Sink(Path path, StandardOpenOption creation) throws IOException {
      gate("create", path);
      this.path = path;
      this.channel = FileChannel.open(path, StandardOpenOption.WRITE, creation);
    }

    @Override
    public int write(ByteBuffer bytes) throws IOException {
      int size = bytes.remaining();
      gate("write", path);
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
      return size;
    }

    @Override
    public boolean isOpen() {
      return channel.isOpen();
    }

    @Override
    public void close() throws IOException {
      channel.close();
    }
  }

  static void createFolder(Path folder) throws IOException {
    gate("create folder", folder);
    Files.createDirectory(folder);
  }

  static void copy(Path from, Path to) throws IOException {
    gate("copy", to);
    Files.copy(from, to);
  }

  static void rename(Path from, Path to) throws IOException {
    gate("rename", to);
    Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
  }

  /** Waits until the file or folder is on the disk; systems that cannot sync a folder skip it. */
  static void sync(Path path) throws IOException {
    gate("sync", path);
    if (Files.isDirectory(path) && System.getProperty("os.name").startsWith("Windows")) {
      return;
    }
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  /** Syncs everything below a folder, then the folder. */
  static void syncTree(Path folder) throws IOException {
    for (Path path : tree(folder)) {
      if (!Files.isSymbolicLink(path)) {
        sync(path);
      }
    }
  }

  /** Deletes a file, or a folder and all it holds; links are deleted, not followed. */
  static void deleteTree(Path root) throws IOException {
    for (Path path : tree(root)) {
      gate("delete", path);
      Files.deleteIfExists(path);
    }
  }

  /** Deletes what is of no more use; what cannot be deleted now is left to the next sweep. */
  static void discard(Path root) {
    try {
      deleteTree(root);
    } catch (IOException e) {
      // It has a name that nobody takes for a finished file.
    }
  }

  /** A folder's content, children before parents; empty if it does not exist. */
  private static List<Path> tree(Path root) throws IOException {
    if (!Files.exists(root)) {
      return List.of();
    }
    try (Stream<Path> all = Files.walk(root)) {
      return all.sorted(Comparator.reverseOrder()).toList();
    }
  }

  /** What a failed write means to the user. */
  static HoldfastException failure(Path target, IOException e) {
    String reason =
        e instanceof FileSystemException system && system.getReason() != null
            ? system.getReason()
            : e instanceof FileSystemException ? e.toString() : String.valueOf(e.getMessage());
    String known = reason.toLowerCase(Locale.ROOT);
    boolean full = known.contains("no space left") || known.contains("quota exceeded");
    String remedy =
        full
            ? "free some space or choose an output folder on another disk"
            : "check that the folder exists and may be written to";
    return HoldfastException.missing(
            "%s: could not be written: %s; nothing half-written was left in its place; %s",
            target, full ? "the disk is full (" + reason + ")" : reason, remedy)
        .causedBy(e);
  }
}
