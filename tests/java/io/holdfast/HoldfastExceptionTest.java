package io.holdfast;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.EOFException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** What is said of a file that cannot be read, however it was read. */
class HoldfastExceptionTest {
  @TempDir private Path folder;

  @Test
  void aFileThatIsNotThereIsSaidNotToBeThere() {
    var file = folder.resolve("none.json");
    says(file + ": there is no such file", file, () -> Files.readString(file));
    says(file + ": there is no such file", file, () -> new ObjectMapper().readTree(file.toFile()));
  }

  @Test
  void aFolderIsNoFile() {
    var said = folder + ": is a folder; name a file";
    says(said, folder, () -> Files.readString(folder));
    says(said, folder, () -> new ObjectMapper().readTree(folder.toFile()));
  }

  @Test
  void aFolderThatCannotBeListedIsNotTakenForAFile() throws IOException {
    // Made by hand, as a disk that fails would have it; the reason alone, for it names the folder.
    says(
        folder + ": cannot be read (Input/output error)",
        folder,
        () -> {
          throw new FileSystemException(folder.toString(), null, "Input/output error");
        });
    var file = Files.createFile(folder.resolve("file"));
    says(file + ": is a file; name a folder", file, () -> Files.list(file).close());
  }

  @Test
  void bytesThatAreNotTextAreToBeConverted() throws IOException {
    var file = Files.write(folder.resolve("latin.txt"), new byte[] {'a', (byte) 0xE9, 'b'});
    says(file + ": is not UTF-8 text; convert it", file, () -> Files.readString(file));
    says(file + ": is not UTF-8 text; convert it", file, () -> Files.readAllLines(file));
  }

  @Test
  void aFileOfOthersNeedsItsPermissionsChanged() throws IOException {
    // Made by hand: nothing is denied to the user that containers run as.
    var file = Files.createFile(folder.resolve("secret.txt"));
    says(
        file + ": may not be read; change its permissions",
        file,
        () -> {
          throw new AccessDeniedException(file.toString());
        });
  }

  @Test
  void whatElseWentWrongIsSaidInItsOwnWords() throws IOException {
    var file = Files.createFile(folder.resolve("odd.txt"));
    says(
        file + ": cannot be read (Input/output error)",
        file,
        () -> {
          throw new IOException("Input/output error");
        });
  }

  @Test
  void aParsersExcerptIsLeftOut() throws IOException {
    var file = Files.writeString(folder.resolve("config.json"), "{\"rank\": }");
    says(
        file
            + ": cannot be read (Unexpected character ('}' (code 125)): expected a valid value"
            + " (JSON String, Number, Array, Object or token 'null',"
            + " 'true' or 'false'))",
        file,
        () -> new ObjectMapper().readTree(Files.readString(file)));
  }

  @Test
  void anExceptionWithoutAMessageIsNamed() throws IOException {
    var file = Files.createFile(folder.resolve("odd.txt"));
    says(
        file + ": cannot be read (java.io.EOFException)",
        file,
        () -> {
          throw new EOFException();
        });
  }

  private static void says(String message, Path file, Executable reading) {
    var cause = assertThrows(IOException.class, reading);
    var error = HoldfastException.unreadable(file, cause);
    assertEquals(message, error.getMessage());
    assertEquals(ExitCode.INPUT, error.exitCode());
    assertSame(cause, error.getCause());
  }
}
