package io.holdfast.risk;

import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;

/**
 * A small reading of risk that is not linear: {@code p = sigmoid(v . relu(W z + c) + b)} with
 * {@code z = (x - mean) / deviation}.
 *
 * @param mean of each feature over the fit
 * @param deviation of each feature over the fit
 * @param hidden W, {@code [h][d]}
 * @param hiddenBias c
 * @param output v
 * @param bias b
 */
public record MlpProbe(
    double[] mean,
    double[] deviation,
    double[][] hidden,
    double[] hiddenBias,
    double[] output,
    double bias)
    implements Classifier {
  private static final double BETA1 = 0.9;
  private static final double BETA2 = 0.999;

  /**
   * How it is fitted: full batches, Adam (Kingma and Ba 2015), the mean log-loss plus {@code decay
   * / 2} times the squared weights.
   *
   * @param units h
   * @param decay of W and v
   * @param rate of learning
   * @param steps of Adam
   * @param seed of the start
   */
  public record Settings(int units, double decay, double rate, int steps, long seed) {
    /** 16 units, which is plenty for a few hundred prompts. */
    public static final Settings SMALL = new Settings(16, 1e-2, 1e-2, 300, 1);
  }

  /**
   * Fits a network.
   *
   * @param dangerous activations of the dangerous class, {@code [n][d]}
   * @param harmless activations of the other
   */
  public static MlpProbe fit(double[][] dangerous, double[][] harmless, Settings settings) {
    if (dangerous.length == 0 || harmless.length == 0) {
      throw new IllegalArgumentException("a probe needs prompts of both classes");
    }
    var standard = Standard.of(dangerous, harmless);
    double[][] z = standard.apply(dangerous, harmless);
    int d = z[0].length;
    try (var owner = new TensorOwner();
        var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var labels = new double[z.length];
      Arrays.fill(labels, 0, dangerous.length, 1);
      var training =
          new Training(
              owner, Tensors.of(z), Tensors.of(labels, z.length, 1), start(d, settings), settings);
      for (int step = 1; step <= settings.steps(); step++) {
        training.step(step);
      }
      var found = training.parameters.stream().map(Tensors::doubles).toList();
      var hidden = new double[settings.units()][d];
      for (int unit = 0; unit < hidden.length; unit++) {
        for (int j = 0; j < d; j++) {
          hidden[unit][j] = found.get(0)[j * hidden.length + unit];
        }
      }
      return new MlpProbe(
          standard.mean(),
          standard.deviation(),
          hidden,
          found.get(1),
          found.get(2),
          found.get(3)[0]);
    }
  }

  /** W transposed, c, v and b; the weights as He et al. 2015 begin, the biases at zero. */
  private static List<Tensor> start(int d, Settings settings) {
    var random = new SplittableRandom(settings.seed());
    int h = settings.units();
    var hidden = new double[d * h];
    Arrays.setAll(hidden, i -> random.nextGaussian() * Math.sqrt(2.0 / d));
    var output = new double[h];
    Arrays.setAll(output, i -> random.nextGaussian() / Math.sqrt(h));
    return List.of(
        Tensors.of(hidden, d, h),
        Tensors.of(new double[h], 1, h),
        Tensors.of(output, h, 1),
        Tensors.of(new double[1], 1, 1));
  }

  /** The state of one fit; the gradients are written out. */
  private static final class Training {
    final Tensor z;
    final Tensor labels;
    final List<Tensor> parameters;
    final List<Tensor> first;
    final List<Tensor> second;
    final Settings settings;

    Training(
        TensorOwner owner, Tensor z, Tensor labels, List<Tensor> parameters, Settings settings) {
      this.z = owner.own(z);
      this.labels = owner.own(labels);
      this.parameters = parameters.stream().map(owner::own).toList();
      this.first = parameters.stream().map(p -> owner.own(p.mul(new Scalar(0)))).toList();
      this.second = parameters.stream().map(p -> owner.own(p.mul(new Scalar(0)))).toList();
      this.settings = settings;
    }

    void step(int number) {
      try (var scope = Scope.open()) {
        var gradients = gradients();
        double rate =
            settings.rate()
                * Math.sqrt(1 - Math.pow(BETA2, number))
                / (1 - Math.pow(BETA1, number));
        for (int i = 0; i < gradients.size(); i++) {
          var gradient = gradients.get(i);
          first.get(i).mul_(new Scalar(BETA1)).add_(gradient, new Scalar(1 - BETA1));
          second.get(i).mul_(new Scalar(BETA2)).add_(gradient.square(), new Scalar(1 - BETA2));
          var step = first.get(i).div(second.get(i).sqrt().add(new Scalar(1e-8)));
          parameters.get(i).sub_(step, new Scalar(rate));
        }
      }
    }

    /** Of the mean log-loss and the decay, by the chain rule from the output back. */
    private List<Tensor> gradients() {
      var w = parameters.get(0);
      var v = parameters.get(2);
      var active = z.matmul(w).add(parameters.get(1)).relu();
      var p = active.matmul(v).add(parameters.get(3)).sigmoid();
      var atOutput = p.sub(labels).div(new Scalar((double) z.size(0)));
      var atHidden = atOutput.matmul(v.t()).mul(active.sign());
      var decay = new Scalar(settings.decay());
      return List.of(
          z.t().matmul(atHidden).add(w, decay),
          atHidden.sum(0).unsqueeze(0),
          active.t().matmul(atOutput).add(v, decay),
          atOutput.sum().view(1, 1));
    }
  }

  @Override
  public double risk(double[] activation) {
    double sum = bias;
    for (int unit = 0; unit < output.length; unit++) {
      double in = hiddenBias[unit];
      for (int j = 0; j < mean.length; j++) {
        in += hidden[unit][j] * (activation[j] - mean[j]) / deviation[j];
      }
      sum += output[unit] * Math.max(0, in);
    }
    return Standard.sigmoid(sum);
  }

  @Override
  public int width() {
    return mean.length;
  }

  @Override
  public Map<String, double[][]> parameters() {
    var parameters = new LinkedHashMap<String, double[][]>();
    parameters.put("mean", new double[][] {mean});
    parameters.put("deviation", new double[][] {deviation});
    parameters.put("hidden", hidden);
    parameters.put("hidden_bias", new double[][] {hiddenBias});
    parameters.put("output", new double[][] {output});
    parameters.put("bias", new double[][] {{bias}});
    return parameters;
  }
}
