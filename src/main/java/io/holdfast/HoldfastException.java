package io.holdfast;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;

/**
 * An error that a person can act on: what is wrong, where, and what to do about it.
 *
 * <p>The message is printed as it is, without a stack trace, and the process ends with {@link
 * #exitCode()}. Anything else that escapes is a bug and exits with {@link ExitCode#INTERNAL}.
 */
public final class HoldfastException extends RuntimeException {
  private final ExitCode exitCode;

  private HoldfastException(ExitCode exitCode, String message, Throwable cause) {
    super(message, cause);
    this.exitCode = exitCode;
  }

  /** Wrong usage or configuration: name the key and the allowed values. */
  public static HoldfastException usage(String format, Object... arguments) {
    return new HoldfastException(ExitCode.USAGE, format.formatted(arguments), null);
  }

  /** A bad input file: name the file, the line or tensor, the field and the remedy. */
  public static HoldfastException input(String format, Object... arguments) {
    return new HoldfastException(ExitCode.INPUT, format.formatted(arguments), null);
  }

  /**
   * An input file or folder that the system did not let us read: what that means, and the remedy.
   */
  public static HoldfastException unreadable(Path file, IOException cause) {
    var found =
        switch (cause) {
          case AccessDeniedException _ -> "may not be read; change its permissions";
          case NotDirectoryException _ -> "is a file; name a folder";
          case CharacterCodingException _ -> "is not UTF-8 text; convert it";
          // Some exceptions say so, others only repeat the name.
          case IOException _ when Files.notExists(file) -> "there is no such file";
          case FileSystemException e when e.getReason() != null ->
              "cannot be read (%s)".formatted(e.getReason());
          // Whoever lists a folder gets the exception above; this one read it as a file.
          case IOException _ when Files.isDirectory(file) -> "is a folder; name a file";
          // A parser's message goes on with an excerpt; some exceptions have none at all.
          case IOException e when e.getMessage() instanceof String said && !said.isBlank() ->
              "cannot be read (%s)".formatted(said.lines().findFirst().orElseThrow());
          case IOException e -> "cannot be read (%s)".formatted(e);
        };
    return input("%s: %s", file, found).causedBy(cause);
  }

  /** A device, back end or tool that is not there: name the remedy. */
  public static HoldfastException missing(String format, Object... arguments) {
    return new HoldfastException(ExitCode.MISSING, format.formatted(arguments), null);
  }

  /** Training that stopped itself: name the batch and the last good checkpoint. */
  public static HoldfastException diverged(String format, Object... arguments) {
    return new HoldfastException(ExitCode.DIVERGED, format.formatted(arguments), null);
  }

  /** A gate that was missed: name the metric and the bound. */
  public static HoldfastException gate(String format, Object... arguments) {
    return new HoldfastException(ExitCode.GATE, format.formatted(arguments), null);
  }

  /** A run that was interrupted: name the checkpoint that was written. */
  public static HoldfastException interrupted(String format, Object... arguments) {
    return new HoldfastException(ExitCode.INTERRUPTED, format.formatted(arguments), null);
  }

  /** The same error with what caused it, for {@code --verbose}. */
  public HoldfastException causedBy(Throwable cause) {
    return new HoldfastException(exitCode, getMessage(), cause);
  }

  /** How the process should end. */
  public ExitCode exitCode() {
    return exitCode;
  }
}
