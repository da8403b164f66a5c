package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.HoldfastException;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import org.junit.jupiter.api.Test;

class FailureTest {
  private final StringWriter text = new StringWriter();

  private int report(Throwable error) {
    return Failure.report(error, new PrintWriter(text, true), false);
  }

  private void says(String words) {
    assertTrue(text.toString().contains(words), text.toString());
  }

  @Test
  void aKnownErrorKeepsItsMessageAndCode() {
    assertEquals(5, report(HoldfastException.diverged("step 3: loss NaN")));
    assertEquals("holdfast: step 3: loss NaN\n", text.toString());
  }

  @Test
  void anUnforeseenErrorIsABugAndShowsItsStack() {
    assertEquals(1, report(new IllegalStateException("odd")));
    says("this is a bug");
    says("\tat io.holdfast.cli.FailureTest");
  }

  @Test
  void aFullDiskSaysSo() {
    assertEquals(4, report(new UncheckedIOException(new IOException("No space left on device"))));
    says("the disk is full");
  }

  @Test
  void aFullHeapSaysHowToGiveMore() {
    assertEquals(4, report(new OutOfMemoryError("Java heap space")));
    says("HOLDFAST_JAVA_OPTS=-Xmx");
  }

  @Test
  void aLibraryThatDoesNotLoadNamesTheDoctor() {
    assertEquals(4, report(new UnsatisfiedLinkError("libgomp.so.1: cannot open\n more")));
    says("libgomp.so.1: cannot open. './holdfast doctor'");
  }

  @Test
  void ofALibTorchErrorTheFirstLineIsKept() {
    var error = libTorchError();
    assertTrue(error.getMessage().lines().count() > 1, "LibTorch appends its native stack");
    assertEquals(3, report(error));
    says("LibTorch refused an operation: The size of tensor a (2) must match");
    assertFalse(text.toString().contains("frame #"), text.toString());
  }

  @Test
  void memoryThatLibTorchCannotHaveIsNoBug() {
    try (var scope = Scope.open()) {
      Tensors.empty(1L << 44);
    } catch (RuntimeException e) {
      assertEquals(4, report(e));
    }
    says("Lower batch_size or max_length");
  }

  private static RuntimeException libTorchError() {
    try (var scope = Scope.open()) {
      Tensors.zeros(2).add(Tensors.zeros(3));
      throw new AssertionError("LibTorch added vectors of lengths 2 and 3");
    } catch (RuntimeException e) {
      return e;
    }
  }
}
