package io.holdfast.cli;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import io.holdfast.torch.LibTorch;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.util.stream.Stream;

/**
 * What an error means to the person at the keyboard, and to the script that started the process.
 */
final class Failure {
  private Failure() {}

  /** Prints an error and what can be done about it; returns the exit code. */
  static int report(Throwable error, PrintWriter err, boolean verbose) {
    var known = explain(error);
    if (known == null) {
      err.println("holdfast: this is a bug; please report it with the command and what follows.");
      error.printStackTrace(err);
      return ExitCode.INTERNAL.code();
    }
    err.println("holdfast: " + known.getMessage());
    if (verbose) {
      error.printStackTrace(err);
    }
    return known.exitCode().code();
  }

  /** The error as one that a person can act on, or null if nobody foresaw it. */
  private static HoldfastException explain(Throwable error) {
    return switch (error) {
      case HoldfastException known -> known;
      case OutOfMemoryError memory ->
          HoldfastException.missing(
              "the Java heap is full (%s): give it more by HOLDFAST_JAVA_OPTS=-Xmx8g, or read fewer"
                  + " rows",
              memory.getMessage());
      case LinkageError linkage when isNative(linkage) ->
          HoldfastException.missing(
              "a native library cannot be loaded: %s. './holdfast doctor' says what is missing.",
              firstLine(linkage));
      case UncheckedIOException io -> disk(io.getCause());
      case IOException io -> disk(io);
      case RuntimeException torch when isLibTorch(torch) -> libTorch(torch);
      default -> null;
    };
  }

  private static HoldfastException disk(IOException error) {
    var text = String.valueOf(error.getMessage());
    return text.contains("No space left") || text.contains("quota exceeded")
        ? HoldfastException.missing("the disk is full: %s. Free some space and run again.", text)
        : HoldfastException.input("cannot read or write: %s", error);
  }

  private static boolean isNative(LinkageError error) {
    return error instanceof UnsatisfiedLinkError
        || error instanceof NoClassDefFoundError && error.getCause() instanceof LinkageError
        || error.getCause() instanceof UnsatisfiedLinkError;
  }

  /** C++ exceptions come out of the bindings as plain runtime exceptions. */
  private static boolean isLibTorch(RuntimeException error) {
    return error.getClass() == RuntimeException.class
        && Stream.of(error.getStackTrace())
            .limit(1)
            .anyMatch(frame -> frame.getClassName().startsWith("org.bytedeco."));
  }

  private static HoldfastException libTorch(RuntimeException error) {
    var line = firstLine(error);
    return LibTorch.outOfMemory(error)
        ? HoldfastException.missing(
            "out of memory: %s. Lower batch_size or max_length, raise accumulation, or use a LoRA.",
            line)
        : HoldfastException.input(
            "LibTorch refused an operation: %s. A folder whose config.json does not fit its weights"
                + " does this; if this one does fit, it is a bug: report it with --verbose.",
            line);
  }

  private static String firstLine(Throwable error) {
    return String.valueOf(error.getMessage()).lines().findFirst().orElse("").strip();
  }
}
