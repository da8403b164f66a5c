package io.holdfast.attack;

import io.holdfast.kernels.Kernels;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * The gradient of a prompt's loss by the one-hot vectors of its string (Ebrahimi et al. 2018, Zou
 * et al. 2023): that by the embeddings, times the embedding matrix. Gradients of weights are
 * neither computed nor touched.
 */
final class TokenGradient {
  private final Decoder decoder;
  private final AttackPrompt prompt;
  private final TargetHead head;

  TokenGradient(Decoder decoder, Kernels kernels, AttackPrompt prompt, TargetLoss loss) {
    this.decoder = decoder;
    this.prompt = prompt;
    this.head = new TargetHead(kernels, decoder, loss);
  }

  /**
   * The gradient at a string.
   *
   * @return float32 {@code [string, V]}, in the caller's scope
   */
  Tensor at(int[] string) {
    try (var scope = Scope.open();
        var start = new Start()) {
      int[] fed = prompt.fed(string);
      var ids = Tensors.of(Arrays.stream(fed).asLongStream().toArray(), 1, fed.length);
      var hidden = decoder.forward(Tokens.rightPadded(ids), AdapterMode.ON, List.of(start));
      int target = prompt.target().length;
      var predicting = hidden.detach().select(0, 0).narrow(0, fed.length - target, target);
      var gradient = torch.zeros_like(hidden);
      var own = head.gradient(predicting, prompt.target()).gradient();
      gradient.select(0, 0).narrow(0, fed.length - target, target).copy_(own);
      var byEmbedding =
          torch
              .grad(
                  new TensorVector(hidden),
                  new TensorVector(start.embedded),
                  new TensorVector(gradient),
                  new BoolOptional(false),
                  false,
                  false)
              .get(0)
              .select(0, 0)
              .narrow(0, prompt.before().length, string.length);
      var embedding = decoder.weights().get("model.embed_tokens.weight").detach();
      var byToken = byEmbedding.matmul(embedding.t()).to(ScalarType.Float);
      double scale = decoder.architecture().embeddingScale();
      return scope.keep(scale == 1 ? byToken : byToken.mul(new Scalar(scale)));
    }
  }

  /** Makes the embedded tokens the beginning of a graph. */
  private static final class Start implements Tap, AutoCloseable {
    private final TensorOwner owner = new TensorOwner();
    private Tensor embedded;

    @Override
    public boolean wants(Site site) {
      return site.equals(Site.residual(0));
    }

    @Override
    public Tensor at(Site site, Tensor hidden) {
      // The scope of the forward pass ends before it is asked for its gradient.
      embedded = owner.own(hidden.detach().requires_grad_(true));
      return embedded;
    }

    @Override
    public void close() {
      owner.close();
    }
  }
}
