package io.holdfast.train;

import static org.bytedeco.pytorch.global.torch.mm;

import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.RowLoss;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * The head of the model and its loss in one: hidden states in, their gradient out.
 *
 * <p>Labelled rows are worked through in chunks. LibTorch multiplies a chunk with the head, a
 * kernel turns the logits into their gradient in place, LibTorch multiplies back. At most two
 * chunks of logits exist at a time (the model's and the reference's), never tokens x vocabulary,
 * and rows without a label never reach the head. Logits have the type of the model; the kernel
 * computes in float32 and rounds once.
 */
public final class FusedHead {
  /** Logits of one chunk take about this much memory, but a chunk has at least this many rows. */
  private static final long CHUNK_BYTES = 64L << 20;

  private static final long CHUNK_ROWS = 1024;

  private final Kernels kernels;
  private final Tensor weight;
  private final Tensor referenceWeight;
  private final RowLoss loss;

  /**
   * A head.
   *
   * @param weight {@code [V, d]}; its gradient is accumulated where it asks for one
   * @param referenceWeight {@code [V, d]} of the reference model, or null where nothing needs it
   * @param loss direction of the divergence, label smoothing, soft cap of the logits
   */
  public FusedHead(Kernels kernels, Tensor weight, Tensor referenceWeight, RowLoss loss) {
    this.kernels = kernels;
    this.weight = weight;
    this.referenceWeight = referenceWeight;
    this.loss = loss;
  }

  /**
   * What came out of a batch.
   *
   * @param crossEntropy weighted sum of the cross entropies
   * @param divergence weighted sum of the divergences
   * @param plainCrossEntropy sum of the cross entropies before weighting
   * @param plainDivergence sum of the divergences before weighting
   */
  public record Loss(
      double crossEntropy, double divergence, double plainCrossEntropy, double plainDivergence) {
    /** No rows, no loss. */
    static final Loss ZERO = new Loss(0, 0, 0, 0);

    Loss plus(Loss other) {
      return new Loss(
          crossEntropy + other.crossEntropy,
          divergence + other.divergence,
          plainCrossEntropy + other.plainCrossEntropy,
          plainDivergence + other.plainDivergence);
    }

    /** The weighted total that training minimises. */
    public double total() {
      return crossEntropy + divergence;
    }
  }

  /** How many rows of logits, at most, exist at a time. */
  public static long chunkRows(long vocabulary) {
    return Math.max(CHUNK_ROWS, CHUNK_BYTES / (Float.BYTES * Math.max(1, vocabulary)));
  }

  /** Weighs the cross entropy of a row by what the model makes of its label. */
  @FunctionalInterface
  interface RowFactors {
    /**
     * A constant in the gradient.
     *
     * @param row number of the row
     * @param logProbability of its label
     */
    double of(int row, double logProbability);
  }

  /** The loss of a batch, and its gradient, as below with all factors 1. */
  public Loss lossAndGradient(Tensor hidden, LossRows rows, Tensor referenceRows, Tensor gradient) {
    return lossAndGradient(hidden, rows, referenceRows, gradient, null);
  }

  /**
   * The loss of a batch, and its gradient.
   *
   * @param hidden {@code [batch, time, d]} after the final norm
   * @param rows what is labelled
   * @param referenceRows {@code [rows.withKl(), d]} hidden states of the reference at the first
   *     rows, or null where no row has a KL weight
   * @param gradient {@code [batch * time, d]}, zeros; receives the gradient of the loss
   * @param factors of the rows' cross entropies beside their weights, or null for 1
   */
  Loss lossAndGradient(
      Tensor hidden, LossRows rows, Tensor referenceRows, Tensor gradient, RowFactors factors) {
    long chunk = chunkRows(weight.size(0));
    var sum = Loss.ZERO;
    try (var scope = Scope.open();
        var noGrad = NoGrad.on();
        var arena = Arena.ofConfined()) {
      var flat = hidden.detach().reshape(-1, hidden.size(-1));
      for (int start = 0; start < rows.size(); ) {
        // A chunk lies on one side of the border between rows with and without a KL weight.
        int end = start < rows.withKl() ? rows.withKl() : rows.size();
        int count = (int) Math.min(chunk, end - start);
        try (var inner = Scope.open()) {
          boolean kl = start < rows.withKl();
          var reference = kl ? referenceRows.narrow(0, start, count) : null;
          sum = sum.plus(chunk(flat, rows, start, count, reference, gradient, factors, arena));
        }
        start += count;
      }
    }
    return sum;
  }

  private Loss chunk(
      Tensor flat,
      LossRows rows,
      int start,
      int count,
      Tensor reference,
      Tensor gradient,
      RowFactors factors,
      Arena arena) {
    var index = Tensors.of(Arrays.copyOfRange(rows.index(), start, start + count), count);
    var selected = flat.index_select(0, index);
    var head = weight.detach();
    var logits = mm(selected, head.t());
    var referenceLogits = reference == null ? null : mm(reference, referenceWeight.t());
    var ceWeight = floats(arena, rows.ceWeight(), start, count);
    if (factors != null) {
      weigh(ceWeight, factors, logits, rows, start, count);
    }
    var klWeight = reference == null ? null : floats(arena, rows.klWeight(), start, count);
    var ce = arena.allocate(ValueLayout.JAVA_FLOAT, count);
    var kl = reference == null ? null : arena.allocate(ValueLayout.JAVA_FLOAT, count);
    var labels = arena.allocate(ValueLayout.JAVA_LONG, count);
    MemorySegment.copy(rows.labels(), start, labels, ValueLayout.JAVA_LONG, 0, count);
    kernels.crossEntropyKl(
        Tensors.matrix(logits),
        referenceLogits == null ? null : Tensors.matrix(referenceLogits),
        null,
        labels,
        ceWeight,
        klWeight,
        loss,
        ce,
        kl);
    // The logits are their gradient now.
    gradient.index_copy_(0, index, mm(logits, head));
    if (weight.requires_grad()) {
      accumulate(weight, logits.t(), selected);
    }
    return sums(rows, start, count, ceWeight, ce, kl);
  }

  /** Multiplies weights by the factors of their rows; rows without a label have none. */
  private void weigh(
      MemorySegment weights,
      RowFactors factors,
      Tensor logits,
      LossRows rows,
      int start,
      int count) {
    try (var scope = Scope.open()) {
      long[] labels = Arrays.copyOfRange(rows.labels(), start, start + count);
      var known = Arrays.stream(labels).map(label -> Math.max(0, label)).toArray();
      var capped = capped(logits.to(ScalarType.Float));
      var own = capped.gather(1, Tensors.of(known, count, 1)).squeeze(1);
      float[] logProbabilities = Tensors.floats(own.sub(capped.logsumexp(1)));
      for (int i = 0; i < count; i++) {
        if (labels[i] >= 0) {
          float weight = weights.getAtIndex(ValueLayout.JAVA_FLOAT, i);
          double factor = factors.of(start + i, logProbabilities[i]);
          weights.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (weight * factor));
        }
      }
    }
  }

  private Tensor capped(Tensor logits) {
    double cap = loss.softCap();
    return cap == 0 ? logits : logits.div(new Scalar(cap)).tanh().mul(new Scalar(cap));
  }

  /** Adds {@code [V, rows]} times {@code [rows, d]} to the gradient of a head. */
  static void accumulate(Tensor weight, Tensor logitsGradient, Tensor selected) {
    if (weight.grad().defined()) {
      weight.mutable_grad().addmm_(logitsGradient, selected);
    } else {
      weight.mutable_grad().put(mm(logitsGradient, selected));
    }
  }

  private static Loss sums(
      LossRows rows,
      int start,
      int count,
      MemorySegment ceWeight,
      MemorySegment ce,
      MemorySegment kl) {
    double crossEntropy = 0;
    double divergence = 0;
    double plainCrossEntropy = 0;
    double plainDivergence = 0;
    for (int i = 0; i < count; i++) {
      double one = ce.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      double other = kl == null ? 0 : kl.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      plainCrossEntropy += one;
      plainDivergence += other;
      crossEntropy += ceWeight.getAtIndex(ValueLayout.JAVA_FLOAT, i) * one;
      divergence += rows.klWeight()[start + i] * other;
    }
    return new Loss(crossEntropy, divergence, plainCrossEntropy, plainDivergence);
  }

  private static MemorySegment floats(Arena arena, float[] values, int start, int count) {
    var memory = arena.allocate(ValueLayout.JAVA_FLOAT, count);
    MemorySegment.copy(values, start, memory, ValueLayout.JAVA_FLOAT, 0, count);
    return memory;
  }
}
