package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels.KlDirection;
import io.holdfast.kernels.RowLoss;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.LongStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;

/**
 * The resident memory that the head adds at its height, for a large vocabulary, in a process of its
 * own.
 */
class HeadMemoryTest {
  private static final int VOCABULARY = 1 << 17;
  private static final int ROWS = 4096;
  private static final int WIDTH = 8;
  private static final double CHUNK =
      (double) FusedHead.chunkRows(VOCABULARY) * VOCABULARY * Float.BYTES;

  /** Prints what the head and, a row, autograd need, each without and with a reference. */
  static final class Measured {
    private static final int PLAIN_ROWS = 256;

    public static void main(String[] arguments) throws IOException {
      try (var scope = Scope.open()) {
        var weight = torch.randn(VOCABULARY, WIDTH).requires_grad_(true);
        var hidden = torch.randn(1, ROWS, WIDTH);
        chunked(weight, hidden.narrow(1, 0, 1), 1);
        System.out.println(peak(() -> chunked(weight, hidden, 0)));
        System.out.println(peak(() -> chunked(weight, hidden.narrow(1, 0, 1040), 1024)));
        var few = hidden.view(ROWS, WIDTH).narrow(0, 0, PLAIN_ROWS);
        System.out.println(peak(() -> plain(weight, few)) / PLAIN_ROWS);
        System.out.println(peak(() -> plainWithKl(weight, few)) / PLAIN_ROWS);
      }
    }

    private static void chunked(Tensor weight, Tensor hidden, int withKl) {
      int count = (int) hidden.size(1);
      var ones = new float[count];
      Arrays.fill(ones, 1);
      var rows =
          new LossRows(
              LongStream.range(0, count).toArray(),
              LongStream.range(0, count).toArray(),
              ones,
              ones,
              withKl);
      var head =
          new FusedHead(
              KernelBackends.select(Optional.of("cpu")),
              weight,
              weight.detach(),
              new RowLoss(KlDirection.FORWARD));
      try (var scope = Scope.open()) {
        var reference = withKl == 0 ? null : hidden.view(count, WIDTH).narrow(0, 0, withKl);
        head.lossAndGradient(hidden, rows, reference, Tensors.zeros(count, WIDTH));
      }
    }

    private static void plain(Tensor weight, Tensor hidden) {
      try (var scope = Scope.open()) {
        var labels = Tensors.of(new long[(int) hidden.size(0)], hidden.size(0));
        torch
            .cross_entropy_loss(
                hidden.matmul(weight.t()), labels, new TensorOptional(), 1, -100, 0.0)
            .backward();
      }
    }

    private static void plainWithKl(Tensor weight, Tensor hidden) {
      try (var scope = Scope.open()) {
        var labels = Tensors.of(new long[(int) hidden.size(0)], hidden.size(0));
        var tuned = hidden.matmul(weight.t()).log_softmax(1);
        var reference = hidden.matmul(weight.detach().t()).log_softmax(1);
        var kl = torch.exp(reference).mul(reference.sub(tuned)).sum();
        torch.nll_loss(tuned, labels).add(kl).backward();
      }
    }

    private static long peak(Runnable work) throws IOException {
      long before = status("VmRSS");
      // Resets the high-water mark.
      Files.writeString(Path.of("/proc/self/clear_refs"), "5");
      work.run();
      return status("VmHWM") - before;
    }

    private static long status(String key) throws IOException {
      try (var lines = Files.lines(Path.of("/proc/self/status"))) {
        var line = lines.filter(l -> l.startsWith(key + ":")).findFirst().orElseThrow();
        return 1024 * Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
  }

  @Test
  void itNeedsTwoChunksAtMostAndAnEighthOfThePlainPath() throws Exception {
    var child = new Child(Measured.class).with("-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch").start();
    var said = new String(child.getInputStream().readAllBytes()).strip().split("\\s+");
    assertEquals(0, child.waitFor());
    double alone = Double.parseDouble(said[0]);
    double withReference = Double.parseDouble(said[1]);
    double plain = Double.parseDouble(said[2]) * ROWS;
    double plainWithKl = Double.parseDouble(said[3]) * ROWS;
    // Beside the logits: gradients of the head and of the hidden states, buffers of the product.
    double rest = 64L << 20;
    assertTrue(alone <= CHUNK + rest, "one chunk of %s: %s".formatted(CHUNK, alone));
    assertTrue(withReference <= 2 * CHUNK + rest, "two of %s: %s".formatted(CHUNK, withReference));
    assertTrue(alone >= 0.9 * CHUNK, "less than it holds: " + alone);
    assertTrue(plain >= 8 * alone, "plain %s, chunked %s".formatted(plain, alone));
    assertTrue(
        plainWithKl >= 8 * withReference,
        "plain %s, chunked %s".formatted(plainWithKl, withReference));
  }
}
