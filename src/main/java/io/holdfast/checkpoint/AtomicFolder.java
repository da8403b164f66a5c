package io.holdfast.checkpoint;

import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * Builds a folder out of sight and gives it its name when it is whole.
 *
 * <pre>{@code
 * try (var folder = AtomicFolder.create(checkpoints.resolve("step-40"))) {
 *   ModelFolder.write(folder.path(), config, tensors, ModelFolder.SHARD_BYTES);
 *   AtomicFile.write(folder.path().resolve("state.json"), state);
 *   folder.commit();
 * }
 * }</pre>
 *
 * <p>A process killed at any point leaves the old folder or the new one. Where an old folder is
 * replaced there is a moment between two renames in which neither has the name; {@link #recover},
 * which {@link #create} and {@link ModelFolder#open} call, puts the old one back.
 */
public final class AtomicFolder implements AutoCloseable {
  private final Path target;
  private final Path path;

  private AtomicFolder(Path target, Path path) {
    this.target = target;
    this.path = path;
  }

  /**
   * Starts a folder, with the folders above it; what killed runs left of the same name is cleaned
   * up.
   *
   * @throws HoldfastException if the disk refuses, or if a file has the name, or a folder that is
   *     no checkpoint: such a folder is never replaced
   */
  public static AtomicFolder create(Path target) {
    recover(target);
    Path absolute = replaceable(target);
    Path path = Unfinished.claim(Unfinished.Kind.TMP, absolute);
    try {
      Files.createDirectories(absolute.getParent());
      Disk.createFolder(path);
      return new AtomicFolder(absolute, path);
    } catch (IOException e) {
      Unfinished.release(path);
      throw Disk.failure(target, e);
    }
  }

  /**
   * The folder's real path, after making sure that replacing it destroys nothing but a checkpoint.
   */
  private static Path replaceable(Path target) {
    if (!Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
      return Unfinished.absolute(target);
    }
    if (!Files.isDirectory(target)) {
      throw HoldfastException.usage(
          "%s: a folder is to be written here, but this is a file; choose another name", target);
    }
    try (Stream<Path> files = Files.list(target)) {
      List<Path> content = files.toList();
      if (!content.isEmpty()
          && content.stream().noneMatch(file -> file.toString().endsWith(".safetensors"))) {
        throw HoldfastException.usage(
            "%s: this folder holds other things than a checkpoint and would be replaced as a whole;"
                + " choose a new folder or empty this one",
            target);
      }
      return target.toRealPath();
    } catch (IOException e) {
      throw Disk.failure(target, e);
    }
  }

  /** Where to put the files until {@link #commit}. */
  public Path path() {
    return path;
  }

  /**
   * Syncs everything and gives the folder its name; a folder that had the name is replaced.
   *
   * @throws HoldfastException if the disk is full or refuses
   */
  public void commit() {
    Path old = Unfinished.claim(Unfinished.Kind.OLD, target);
    try {
      Disk.syncTree(path);
      if (Files.exists(target)) {
        Disk.rename(target, old);
      }
      try {
        Disk.rename(path, target);
      } catch (IOException e) {
        if (Files.exists(old)) {
          Disk.rename(old, target);
        }
        throw e;
      }
      Disk.sync(target.getParent());
      retire(old, path);
    } catch (IOException e) {
      throw Disk.failure(target, e);
    } finally {
      Unfinished.release(old);
    }
  }

  /**
   * Deletes a folder so that it is whole or gone: it loses its name first, then its files.
   *
   * @throws HoldfastException if the disk refuses
   */
  public static void delete(Path target) {
    Path grave = Unfinished.claim(Unfinished.Kind.TMP, target);
    try {
      retire(target, grave);
    } catch (IOException e) {
      throw Disk.failure(target, e);
    } finally {
      Unfinished.release(grave);
    }
  }

  /** Removes the folder if it was not committed. */
  @Override
  public void close() {
    Disk.discard(path);
    Unfinished.release(path);
  }

  /**
   * Takes an old folder out of use under a name that nobody restores, since a half-deleted folder
   * must never come back, and then deletes it.
   */
  private static void retire(Path old, Path grave) throws IOException {
    if (Files.exists(old)) {
      Disk.rename(old, grave);
      Disk.discard(grave);
    }
  }

  /** Cleans up what killed processes left of a folder, and puts an old one back under its name. */
  public static void recover(Path target) {
    try {
      for (Unfinished leftover : Unfinished.abandoned(target)) {
        recover(leftover);
      }
    } catch (IOException e) {
      throw Disk.failure(target, e);
    }
  }

  /** The same for every folder in a parent, such as {@code checkpoints/}. */
  public static void recoverAll(Path parent) {
    try {
      for (Unfinished leftover : Unfinished.abandonedIn(parent)) {
        recover(leftover);
      }
    } catch (IOException e) {
      throw Disk.failure(parent, e);
    }
  }

  private static void recover(Unfinished leftover) throws IOException {
    if (leftover.kind() == Unfinished.Kind.TMP) {
      Disk.discard(leftover.path());
    } else if (Files.exists(leftover.target())) {
      Path grave = Unfinished.claim(Unfinished.Kind.TMP, leftover.target());
      retire(leftover.path(), grave);
      Unfinished.release(grave);
    } else {
      Disk.rename(leftover.path(), leftover.target());
    }
  }
}
