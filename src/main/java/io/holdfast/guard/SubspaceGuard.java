package io.holdfast.guard;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.kernels.DType;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Matrix;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorBase;
import org.bytedeco.pytorch.TensorTensorHook;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * Keeps hidden states where the reference had them inside the safety subspace (RefusalGuard-style;
 * that paper's own loss is not public):
 *
 * <pre>
 * P = weight/2 * 1/M * sum over layers l and guarded tokens j of
 *     a_j / scale_l * || U_l^T h_lj - C_lj ||^2
 * </pre>
 *
 * with M the number of guarded tokens in the accumulation window times layers, a the row's recorded
 * risk (or 1) and scale_l the squared mean difference of layer l. Where the hidden state's gradient
 * passes, one kernel call damps the task's component in U by {@code filter} and adds P's gradient:
 * no graph, no reference forward.
 */
public final class SubspaceGuard implements Guard {
  /**
   * How strongly it holds.
   *
   * @param weight of the penalty
   * @param filter how much of the task gradient inside the subspace is removed, 0 to 1
   * @param byRisk whether a row counts by its recorded risk; anchors always count fully
   * @param shrinkTask whether the cross entropy of a row is weighted by 1 - risk
   */
  public record Settings(double weight, double filter, boolean byRisk, boolean shrinkTask) {}

  private final Settings settings;
  private final SafetySubspace subspace;
  private final ReferenceCoefficients coefficients;
  private final GuardedPositions positions;
  private final Kernels kernels;
  private final Hook hook = new Hook();
  private double penalty;

  /** A guard; it closes the subspace and the coefficients with itself. */
  public SubspaceGuard(
      Settings settings,
      SafetySubspace subspace,
      ReferenceCoefficients coefficients,
      GuardedPositions positions,
      Kernels kernels) {
    this.settings = settings;
    this.subspace = subspace;
    this.coefficients = coefficients;
    this.positions = positions;
    this.kernels = kernels;
  }

  @Override
  public String name() {
    return "RefusalGuard-style subspace constraint, weight %s, filter %s, rank %d, layers %s%s"
        .formatted(
            settings.weight(),
            settings.filter(),
            subspace.rank(),
            subspace.layers(),
            (settings.byRisk() ? ", rows weighted by risk" : "")
                + (settings.shrinkTask() ? ", alpha = 1 - risk" : ""));
  }

  @Override
  public ExampleWeight weigh(Example example, ExampleWeight weight) {
    return settings.shrinkTask() && !Anchor.is(example)
        ? new ExampleWeight(weight.task() * (1 - KlGuard.risk(example)), weight.kl())
        : weight;
  }

  @Override
  public long positions(Batch batch) {
    return batch.examples().stream().mapToLong(example -> positions.of(example).length).sum();
  }

  @Override
  public List<Tap> taps(Batch batch, long share) {
    var held = new Held(batch, share);
    hook.begin(held);
    return held.count == 0 ? Tap.NONE : List.of(new GradientTap());
  }

  @Override
  public Map<String, Double> metrics() {
    var metrics = Map.of("subspace_penalty", penalty);
    penalty = 0;
    return metrics;
  }

  @Override
  public void close() {
    hook.release();
    coefficients.close();
    subspace.close();
  }

  /** The guarded rows of one batch, the same for every layer. */
  private final class Held {
    final Batch batch;
    final int count;
    final long[] rows;
    final float[] strength;
    final long share;

    Held(Batch batch, long share) {
      this.batch = batch;
      this.share = share;
      this.count = Math.toIntExact(positions(batch));
      this.rows = new long[count];
      this.strength = new float[count];
      int at = 0;
      for (int r = 0; r < batch.examples().size(); r++) {
        var example = batch.examples().get(r);
        boolean anchor = Anchor.is(example);
        float strong = settings.byRisk() && !anchor ? (float) KlGuard.risk(example) : 1;
        for (int t : positions.of(example)) {
          rows[at] = batch.starts()[r] + t;
          strength[at++] = strong;
        }
      }
    }

    void constrain(int layer, Matrix gradient, Matrix hidden) {
      try (var arena = Arena.ofConfined()) {
        var index = arena.allocate(ValueLayout.JAVA_LONG, count);
        MemorySegment.copy(rows, 0, index, ValueLayout.JAVA_LONG, 0, count);
        var weight = arena.allocate(ValueLayout.JAVA_FLOAT, count);
        var filter = arena.allocate(ValueLayout.JAVA_FLOAT, count);
        double factor =
            settings.weight() / ((double) share * subspace.layers().size() * subspace.scale(layer));
        for (int i = 0; i < count; i++) {
          weight.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (factor * strength[i]));
          filter.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (settings.filter() * strength[i]));
        }
        var c = arena.allocate(ValueLayout.JAVA_FLOAT, (long) count * subspace.rank());
        long at = 0;
        for (var example : batch.examples()) {
          long tokens = positions.of(example).length;
          coefficients.copy(layer, example, tokens, c, at);
          at += tokens;
        }
        var distances = arena.allocate(ValueLayout.JAVA_FLOAT, count);
        kernels.constrain(
            gradient,
            hidden,
            index,
            subspace.basis(layer),
            Matrix.dense(c, count, subspace.rank(), DType.FLOAT32),
            filter,
            weight,
            distances);
        double part = (double) share * subspace.layers().size() * subspace.scale(layer);
        for (int i = 0; i < count; i++) {
          penalty += strength[i] * distances.getAtIndex(ValueLayout.JAVA_FLOAT, i) / part;
        }
      }
    }
  }

  private final class GradientTap implements Tap {
    @Override
    public boolean wants(Site site) {
      return site.kind() == Site.Kind.BLOCK_INPUT && subspace.layers().contains(site.layer());
    }

    @Override
    public Tensor at(Site site, Tensor hidden) {
      if (hidden.requires_grad()) {
        hook.attach(site.layer(), hidden);
      }
      return hidden;
    }
  }

  private record Attached(int layer, Tensor hidden) {}

  /**
   * Called by autograd with the gradient of a guarded hidden state. There is one hook for all
   * layers, because JavaCPP has only a handful of callbacks of a type: the residual stream is a
   * chain, so backward meets the guarded states in the reverse of the order in which forward made
   * them. It outlives the scopes of the steps, because LibTorch keeps only a pointer to it.
   */
  private final class Hook extends TensorTensorHook {
    private final Deque<Attached> attached = new ArrayDeque<>();
    private Held held;

    Hook() {
      retainReference();
    }

    void begin(Held batch) {
      attached.forEach(state -> state.hidden().releaseReference());
      attached.clear();
      held = batch;
    }

    void attach(int layer, Tensor state) {
      var hidden = state.detach();
      hidden.retainReference();
      attached.push(new Attached(layer, hidden));
      state.register_hook(this);
    }

    @Override
    public TensorBase call(TensorBase gradient) {
      var state = attached.pop();
      try (var scope = Scope.open()) {
        // Autograd may share this gradient with another branch: the edit goes to a copy, in
        // float32 and then back to the type of the states.
        var given = new Tensor(gradient);
        var edited = Tensors.copy(given, DType.FLOAT32);
        var hidden = state.hidden().to(ScalarType.Float);
        held.constrain(state.layer(), Tensors.matrix(edited), Tensors.matrix(hidden));
        return scope.keep(edited.to(given.scalar_type()));
      } finally {
        state.hidden().releaseReference();
      }
    }

    void release() {
      begin(null);
      releaseReference();
    }
  }
}
