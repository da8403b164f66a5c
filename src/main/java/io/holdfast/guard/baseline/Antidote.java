package io.holdfast.guard.baseline;

import io.holdfast.guard.Guard;
import io.holdfast.guard.Tuning;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * Antidote (Huang et al. 2024, "Antidote: Post-fine-tuning Safety Alignment for Large Language
 * Models against Harmful Fine-tuning", eq. 1 and 2): after the run, in every row of every trained
 * matrix, the weights with the greatest {@code |W_ij| ||X_j||_2} (the score of Wanda, Sun et al.
 * 2023) on harmful rows are set to zero. With a LoRA its A and B are the matrices. Reimplementation
 * from public description.
 */
public final class Antidote implements Guard {
  private final OwnRows harmful;
  private final double share;
  private final Map<String, Tensor> squares = new LinkedHashMap<>();
  private final TensorOwner owner = new TensorOwner();
  private Tuning tuning;

  /**
   * A pruning.
   *
   * @param harmful requests with harmful answers
   * @param share of each row's weights, rounded down, that is set to zero
   */
  public Antidote(OwnRows harmful, double share) {
    this.harmful = harmful;
    this.share = share;
  }

  @Override
  public String name() {
    return "Antidote, the harmful %s of each row".formatted(share);
  }

  @Override
  public void begin(Tuning run) {
    tuning = run;
  }

  @Override
  public void finish() {
    var adapters = tuning.model().adapters();
    for (var row : harmful.all()) {
      try (var one = Scope.open();
          var noGrad = NoGrad.on()) {
        var tokens = Tokens.of(tuning.batch(List.of(row)));
        tuning
            .model()
            .watching(
                (module, input) -> {
                  add(module, input);
                  var adapter = adapters.get(module);
                  if (adapter != null) {
                    var wide = input.to(ScalarType.Float);
                    add(module + " B", torch.linear(wide, adapter.a()));
                  }
                },
                () -> tuning.model().forward(tokens, AdapterMode.ON, Tap.NONE));
      }
    }
    try (var noGrad = NoGrad.on()) {
      for (var module : List.copyOf(squares.keySet())) {
        var adapter = adapters.get(module);
        var whole = tuning.parameters().get(module + ".weight");
        if (adapter != null) {
          prune(adapter.a(), squares.get(module), share);
          prune(adapter.b(), squares.get(module + " B"), share);
        } else if (whole != null) {
          prune(whole, squares.get(module), share);
        }
      }
    }
  }

  private void add(String key, Tensor input) {
    var x = input.reshape(-1, input.size(-1)).to(ScalarType.Double);
    var sum = x.square().sum(0);
    var known = squares.get(key);
    if (known == null) {
      squares.put(key, owner.own(sum));
    } else {
      known.add_(sum);
    }
  }

  /**
   * Zeroes the highest scores of each row.
   *
   * @param weight {@code [out, in]}
   * @param squares {@code [in]}, the squared norm of each input over all tokens
   */
  static void prune(Tensor weight, Tensor squares, double share) {
    long count = (long) Math.floor(share * weight.size(1));
    if (count == 0) {
      return;
    }
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var score = weight.abs().to(ScalarType.Double).mul(squares.sqrt());
      weight.scatter_(1, torch.topk(score, count).get1(), new Scalar(0));
    }
  }

  @Override
  public void close() {
    owner.close();
  }
}
