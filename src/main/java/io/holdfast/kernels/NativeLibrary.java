package io.holdfast.kernels;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Locale;
import java.util.Optional;

/** Finds our native libraries in the jar and loads them. */
final class NativeLibrary {
  private NativeLibrary() {}

  /** The library of this name for this platform, if this build of Holdfast has it. */
  static Optional<SymbolLookup> find(String name) {
    OpenMp.calm();
    var resource = "/io/holdfast/natives/%s/%s".formatted(platform(), System.mapLibraryName(name));
    try (var in = NativeLibrary.class.getResourceAsStream(resource)) {
      return in == null
          ? Optional.empty()
          : Optional.of(
              SymbolLookup.libraryLookup(unpacked(in.readAllBytes(), name), Arena.global()));
    } catch (IOException e) {
      throw new UncheckedIOException("cannot be unpacked: " + e, e);
    }
  }

  /** The presets' name of this platform. */
  static String platform() {
    var os = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    var system = os.contains("mac") ? "macosx" : os.contains("win") ? "windows" : "linux";
    var arch = System.getProperty("os.arch");
    return system
        + "-"
        + (arch.equals("amd64") ? "x86_64" : arch.equals("aarch64") ? "arm64" : arch);
  }

  /** A copy on disk that is named by its content, so that versions never mix. */
  private static Path unpacked(byte[] library, String name) throws IOException {
    var folder = Path.of(System.getProperty("user.home"), ".cache", "holdfast", hash(library));
    var file = folder.resolve(System.mapLibraryName(name));
    if (!Files.exists(file) || Files.size(file) != library.length) {
      Files.createDirectories(folder);
      var partial = Files.createTempFile(folder, name, ".tmp");
      Files.write(partial, library);
      Files.move(partial, file, StandardCopyOption.ATOMIC_MOVE);
    }
    return file;
  }

  private static String hash(byte[] bytes) {
    try {
      var digest = MessageDigest.getInstance("SHA-256").digest(bytes);
      return HexFormat.of().formatHex(digest, 0, 8);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-256", e);
    }
  }
}
