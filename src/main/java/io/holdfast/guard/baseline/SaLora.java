package io.holdfast.guard.baseline;

import io.holdfast.HoldfastException;
import io.holdfast.data.Batch;
import io.holdfast.guard.Guard;
import io.holdfast.guard.Tuning;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * SaLoRA (Li et al. 2025, "SaLoRA: Safety-Alignment Preserved Low-Rank Adaptation", eq. 4 to 6):
 * {@code W' = W + C B A} with the fixed {@code C = I - V V^T}, V the leading output directions of
 * {@code W X} on the answers of safety rows. Reimplementation from public description, without the
 * paper's task-specific start of A and B.
 *
 * <p>C being a projection, {@code C B} trained in place of B is what the paper trains: its gradient
 * is projected before the step and it after the step, so that PEFT's files hold it as it is.
 */
public final class SaLora implements Guard {
  private final OwnRows safety;
  private final int rank;
  private final Map<String, Tensor> directions = new LinkedHashMap<>();
  private final TensorOwner owner = new TensorOwner();
  private Tuning tuning;

  /**
   * A constraint.
   *
   * @param safety requests with safe answers
   * @param rank how many output directions of each matrix are kept free of the update
   */
  public SaLora(OwnRows safety, int rank) {
    this.safety = safety;
    this.rank = rank;
  }

  @Override
  public String name() {
    return "SaLoRA, %d safety directions of each matrix".formatted(rank);
  }

  @Override
  public void begin(Tuning run) {
    tuning = run;
    var products = new LinkedHashMap<String, Tensor>();
    for (var row : safety.all()) {
      try (var one = Scope.open();
          var noGrad = NoGrad.on()) {
        var batch = run.batch(List.of(row));
        var answer = answer(batch);
        run.reference()
            .watching(
                (module, input) -> {
                  if (run.model().adapters().containsKey(module)) {
                    var x = input.reshape(-1, input.size(-1)).index_select(0, answer);
                    var weight = run.reference().weights().get(module + ".weight");
                    add(products, module, x.mm(weight.t()).to(ScalarType.Double));
                  }
                },
                () -> run.reference().forward(Tokens.of(batch), AdapterMode.ON, Tap.NONE));
      }
    }
    products.forEach((module, product) -> directions.put(module, leading(module, product)));
    products.values().forEach(owner::release);
  }

  private static Tensor answer(Batch batch) {
    var example = batch.examples().getFirst();
    long[] at =
        IntStream.range(0, example.length())
            .filter(t -> example.target()[t])
            .asLongStream()
            .toArray();
    return Tensors.of(at, at.length);
  }

  /** Sums {@code Y^T Y} of the outputs {@code Y [tokens, out]}. */
  private void add(Map<String, Tensor> products, String module, Tensor outputs) {
    var product = outputs.t().mm(outputs);
    var sum = products.get(module);
    if (sum == null) {
      products.put(module, owner.own(product));
    } else {
      sum.add_(product);
    }
  }

  /** The leading eigenvectors {@code [out, rank]}: the left singular vectors of {@code W X}. */
  private Tensor leading(String module, Tensor product) {
    long out = product.size(0);
    if (rank >= out) {
      throw HoldfastException.usage(
          "guard.baselines.sa_lora.rank: %s has %d outputs, so at most %d directions",
          module, out, out - 1);
    }
    try (var scope = Scope.open()) {
      var vectors = torch.linalg_eigh(product).get1();
      return owner.own(vectors.narrow(1, out - rank, rank).to(ScalarType.Float).contiguous());
    }
  }

  /** The directions of a matrix that its update keeps out of, {@code [out, rank]}. */
  Tensor directions(String module) {
    return directions.get(module);
  }

  @Override
  public void beforeUpdate() {
    tuning
        .model()
        .adapters()
        .forEach(
            (module, update) -> {
              if (update.b().grad().defined()) {
                project(module, update.b().mutable_grad());
              }
            });
  }

  @Override
  public void afterUpdate() {
    tuning.model().adapters().forEach((module, update) -> project(module, update.b()));
  }

  private void project(String module, Tensor b) {
    try (var noGrad = NoGrad.on()) {
      var v = directions.get(module);
      b.sub_(v.mm(v.t().mm(b)));
    }
  }

  @Override
  public void close() {
    owner.close();
  }
}
