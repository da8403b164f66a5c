package io.holdfast.guard;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AdapterFolder;
import io.holdfast.geometry.Basis;
import io.holdfast.model.Decoder;
import io.holdfast.model.Reft;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.regex.Pattern;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * Keeps every update of the weights out of the safety subspace (RefusalGuard-style, hard):
 *
 * <pre>
 * writers of slot l (attention output, MLP down of the block before):  dW <- (I - U_l U_l^T) dW
 * readers of slot l (queries, keys, values, gates of the block after): dW <- dW (I - V_l V_l^T)
 * the embedding, which writes slot 0, [V, d]:                          dW <- dW (I - U_0 U_0^T)
 * </pre>
 *
 * with dW the difference to the start, or for a LoRA its B (writers) and A (readers). A reader sees
 * the state through a norm, {@code gain * h / rms(h)}: {@code V_l} is the span of {@code gain *
 * U_l}, so that {@code dW diag(gain) U_l = 0}; where a norm follows a writer, its span is likewise
 * {@code gain * U_l}. Both the gradient and, because Adam's preconditioner leaves the subspace's
 * complement, the moved weights are projected.
 *
 * <p>Weights of norms are not projected. Of an intervention (ReFT) at slot l the rows R lose their
 * part in {@code U_l} and are made orthonormal again, so that it never moves a state inside the
 * subspace.
 */
public final class HardConstraint implements Guard {
  private static final Pattern MODULE =
      Pattern.compile(
          "model\\.layers\\.(\\d+)\\.(self_attn\\.(?<ain>q_proj|k_proj|v_proj|qkv_proj)"
              + "|self_attn\\.(?<aout>o_proj)|mlp\\.(?<min>gate_proj|up_proj|gate_up_proj)"
              + "|mlp\\.(?<mout>down_proj))");

  private final SortedMap<Integer, Basis> subspace;
  private final boolean readers;
  private final boolean random;
  private final TensorOwner owner = new TensorOwner();
  private final List<Projected> projected = new ArrayList<>();

  /**
   * A weight whose update is projected.
   *
   * @param tensor trained
   * @param start where its update is counted from, or null for zero
   * @param basis {@code [d, k]} orthonormal columns
   * @param rows whether the update's columns (a writer's) rather than its rows (a reader's) lie in
   *     the residual stream
   */
  private record Projected(Tensor tensor, Tensor start, Tensor basis, boolean rows) {
    /** {@code dW - U U^T dW}, or {@code dW - dW V V^T}, in place. */
    void project(Tensor update) {
      update.sub_(
          rows ? basis.matmul(basis.t().matmul(update)) : update.matmul(basis).matmul(basis.t()));
    }

    void projectGradient() {
      if (tensor.grad().defined()) {
        project(tensor.grad());
      }
    }

    void projectTensor() {
      if (start == null) {
        project(tensor);
        return;
      }
      var from = start.to(ScalarType.Float);
      var update = tensor.sub(from);
      project(update);
      tensor.copy_(from.add(update));
    }
  }

  /**
   * A constraint.
   *
   * @param subspace directions by slot of the residual stream
   * @param readers whether what reads the stream is projected too, or its writers alone
   * @param random whether the directions are a control
   */
  public HardConstraint(SortedMap<Integer, Basis> subspace, boolean readers, boolean random) {
    this.subspace = subspace;
    this.readers = readers;
    this.random = random;
  }

  @Override
  public String name() {
    return "RefusalGuard-style hard constraint, %s projected, rank %d, layers %s%s"
        .formatted(
            readers ? "writers and readers" : "writers",
            subspace.values().stream().mapToInt(Basis::rank).max().orElse(0),
            subspace.keySet(),
            random ? ", random subspace" : "");
  }

  @Override
  public void begin(Tuning tuning) {
    var reference = tuning.reference();
    var adapters = tuning.model().adapters();
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      // Beside an adapter these are the modules that are trained in full.
      tuning
          .parameters()
          .forEach((name, tensor) -> addWeight(reference, AdapterFolder.weight(name), tensor));
      adapters.forEach(
          (module, update) -> {
            var place = Place.of(module);
            if (place != null && place.writes()) {
              add(reference, place, update.b(), null);
            } else if (place != null) {
              add(reference, place, update.a(), null);
            }
          });
    }
    tuning
        .model()
        .interventions()
        .forEach(
            (slot, unit) -> {
              if (subspace.containsKey(slot)) {
                hold(slot, unit);
              }
            });
    if (projected.isEmpty()) {
      throw HoldfastException.usage(
          "guard.subspace.constraint: hard, but nothing that is trained writes to or reads from"
              + " slots %s of the residual stream; train the projections of those blocks, or choose"
              + " other layers",
          subspace.keySet());
    }
    project();
  }

  /** An intervention moves states along its rows R alone: none of them may lie in the subspace. */
  private void hold(int slot, Reft unit) {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var basis = subspace.get(slot);
      if (unit.r().size(0) > basis.width() - basis.rank()) {
        throw HoldfastException.usage(
            "tune.reft.rank: %d rows do not fit beside %d safety directions of %d; ask for fewer",
            unit.r().size(0), basis.rank(), basis.width());
      }
      var columns = Tensors.of(basis.vectors()).t().to(ScalarType.Float).contiguous();
      var held = new Projected(unit.r(), null, owner.own(columns), false);
      projected.add(held);
      // What the unit does to a state is W - R: it is kept while R turns.
      var before = unit.r().clone();
      held.projectTensor();
      unit.orthonormalize();
      unit.w().add_(unit.r().sub(before));
    }
  }

  private void addWeight(Decoder reference, String name, Tensor tensor) {
    var module = name.replaceAll("\\.(weight|bias)$", "");
    var place = Place.of(module);
    if (module.equals("model.embed_tokens") && subspace.containsKey(0)) {
      var columns = Tensors.of(subspace.get(0).vectors()).t().to(ScalarType.Float).contiguous();
      projected.add(
          new Projected(tensor, start(reference, name, tensor), owner.own(columns), false));
    } else if (place != null && (place.writes() || name.endsWith(".weight"))) {
      add(reference, place, tensor, start(reference, name, tensor));
    }
  }

  /**
   * Where a weight's update is counted from: the file's own memory, unless the run began elsewhere,
   * from rounded weights or from an adapter merged into them.
   */
  private Tensor start(Decoder reference, String name, Tensor tensor) {
    var original = reference.weights().get(name);
    boolean same = original.to(ScalarType.Float).equal(tensor);
    return same ? original : owner.own(tensor.clone());
  }

  private void add(Decoder reference, Place place, Tensor tensor, Tensor start) {
    var basis = subspace.get(place.slot());
    if (basis == null || !place.writes() && !readers) {
      return;
    }
    var directions = Tensors.of(basis.vectors()).t();
    var gain = place.gain(reference);
    if (gain != null) {
      directions = gain.to(ScalarType.Double).unsqueeze(1).mul(directions);
    }
    var orthonormal = torch.linalg_qr(directions, "reduced").get0().to(ScalarType.Float);
    projected.add(
        new Projected(tensor, start, owner.own(orthonormal.contiguous()), place.writes()));
  }

  /** What a module does to the residual stream. */
  private record Place(int block, boolean writes, boolean mlp) {
    static Place of(String module) {
      var found = MODULE.matcher(module);
      if (!found.matches()) {
        return null;
      }
      boolean writes = found.group("aout") != null || found.group("mout") != null;
      boolean mlp = found.group("min") != null || found.group("mout") != null;
      return new Place(Integer.parseInt(found.group(1)), writes, mlp);
    }

    int slot() {
      return writes ? block + 1 : block;
    }

    /** The gain of the norm between the module and the residual stream, or null. */
    Tensor gain(Decoder model) {
      var norms = model.architecture().norms();
      if (writes && !norms.sandwich()) {
        return null;
      }
      var name =
          writes
              ? mlp ? "post_feedforward_layernorm" : "post_attention_layernorm"
              : mlp
                  ? norms.sandwich() ? "pre_feedforward_layernorm" : "post_attention_layernorm"
                  : "input_layernorm";
      var weight = model.weights().get("model.layers.%d.%s.weight".formatted(block, name));
      var gain = weight.to(ScalarType.Float);
      return norms.onePlus() ? gain.add(new Scalar(1)) : gain;
    }
  }

  @Override
  public void beforeUpdate() {
    try (var noGrad = NoGrad.on()) {
      projected.forEach(Projected::projectGradient);
    }
  }

  @Override
  public void afterUpdate() {
    project();
  }

  private void project() {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      projected.forEach(Projected::projectTensor);
    }
  }

  @Override
  public void close() {
    owner.close();
  }
}
