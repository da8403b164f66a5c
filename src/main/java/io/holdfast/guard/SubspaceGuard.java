package io.holdfast.guard;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.kernels.Kernels;
import io.holdfast.model.Tap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Keeps hidden states where the reference had them inside the safety subspace (RefusalGuard-style;
 * that paper's own loss is not public):
 *
 * <pre>
 * P =   update/2    * 1/M  * sum over layers l and guarded tokens j of
 *                            a_j / scale_l * || U_l^T h_lj - C_lj ||^2
 *     + stability/2 * 1/Ma * sum over l and guarded tokens j of anchors of
 *                            || U_l^T h_lj - C_lj ||^2 / mean || C_l - U_l^T mu_l ||^2
 *     + geometry/2  * 1/A  * sum over l and micro-batches of
 *                            anchors * || G(S_l) - G(S_ref,l) ||_F^2 / || G(S_ref,l) ||_F^2
 * </pre>
 *
 * with M the number of guarded tokens in the accumulation window times layers, Ma that of anchors,
 * A the anchors of the window times layers; a the row's risk (or 1), scale_l the squared mean
 * difference of layer l, mu_l the mean of benign prompts, {@code S_l = U_l^T (h_l - mu_l)} of the
 * anchors of a micro-batch at their last guarded token, and G their cosines to each other. Where
 * the hidden state's gradient passes, kernel calls damp the task's component in U by {@code filter}
 * and add P's gradient: no graph, no reference forward.
 */
public final class SubspaceGuard implements Guard {
  /** The term of a step's metrics that says how long its gradients were held up. */
  public static final String SECONDS = "subspace_seconds";

  /**
   * How strongly it holds.
   *
   * @param update weight of the update penalty
   * @param filter how much of the task gradient inside the subspace is removed, 0 to 1
   * @param stability weight of the anchors' stability
   * @param geometry weight of the geometry of the anchors to each other
   * @param byRisk whether a row counts by its risk; anchors always count fully
   * @param shrinkTask whether the cross entropy of a row is weighted by 1 - risk
   */
  public record Settings(
      double update,
      double filter,
      double stability,
      double geometry,
      boolean byRisk,
      boolean shrinkTask) {
    /** The update penalty and the filter alone. */
    public Settings(double update, double filter, boolean byRisk, boolean shrinkTask) {
      this(update, filter, 0, 0, byRisk, shrinkTask);
    }

    /** Whether anchors are looked at by themselves. */
    boolean readsAnchors() {
      return stability > 0 || geometry > 0;
    }
  }

  private final Settings settings;
  private final SafetySubspace subspace;
  private final ReferenceCoefficients coefficients;
  private final GuardedPositions positions;
  private final Kernels kernels;
  private final AnchorGeometry anchors;
  private final GradientHook hook = new GradientHook();
  private final Map<String, Double> terms = new LinkedHashMap<>();
  private long anchorTokens;
  private long anchorPrompts;

  /** A guard that holds no anchors by themselves. */
  public SubspaceGuard(
      Settings settings,
      SafetySubspace subspace,
      ReferenceCoefficients coefficients,
      GuardedPositions positions,
      Kernels kernels) {
    this(settings, subspace, coefficients, positions, List.of(), kernels);
  }

  /**
   * A guard; it closes the subspace and the coefficients with itself.
   *
   * @param anchors safety prompts, which the stability and geometry terms need
   */
  public SubspaceGuard(
      Settings settings,
      SafetySubspace subspace,
      ReferenceCoefficients coefficients,
      GuardedPositions positions,
      List<Example> anchors,
      Kernels kernels) {
    this.settings = settings;
    this.subspace = subspace;
    this.coefficients = coefficients;
    this.positions = positions;
    this.kernels = kernels;
    this.anchors =
        settings.readsAnchors()
            ? new AnchorGeometry(subspace, coefficients, positions, anchors)
            : null;
  }

  @Override
  public String name() {
    var terms = new StringBuilder();
    if (settings.stability() > 0) {
      terms.append(", anchor stability ").append(settings.stability());
    }
    if (settings.geometry() > 0) {
      terms.append(", anchor geometry ").append(settings.geometry());
    }
    return "RefusalGuard-style subspace constraint, weight %s, filter %s%s, rank %d, layers %s%s"
        .formatted(
            settings.update(),
            settings.filter(),
            terms,
            subspace.rank(),
            subspace.layers(),
            (subspace.isRandom() ? ", random subspace" : "")
                + (settings.byRisk() ? ", rows weighted by risk" : "")
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
  public void window(List<Batch> batches) {
    anchorTokens = 0;
    anchorPrompts = 0;
    for (var batch : batches) {
      for (var example : batch.examples()) {
        if (Anchor.is(example)) {
          anchorTokens += positions.of(example).length;
          anchorPrompts++;
        }
      }
    }
  }

  @Override
  public List<Tap> taps(Batch batch, long share) {
    var held = HeldTokens.of(batch, positions, settings);
    if (held.count() == 0) {
      return Tap.NONE;
    }
    return List.of(
        hook.tap(
            subspace.layers(),
            (layer, gradient, hidden) -> {
              var constraint =
                  new LayerConstraint(
                      settings, subspace, coefficients, anchors, kernels, layer, terms);
              long start = System.nanoTime();
              constraint.apply(
                  held,
                  gradient,
                  hidden,
                  new LayerConstraint.Shares(share, anchorTokens, anchorPrompts));
              terms.merge(SECONDS, (System.nanoTime() - start) * 1e-9, Double::sum);
            }));
  }

  @Override
  public Map<String, Double> metrics() {
    var metrics = new LinkedHashMap<String, Double>();
    metrics.put("subspace_penalty", 0.0);
    metrics.put(SECONDS, 0.0);
    metrics.putAll(terms);
    terms.clear();
    return metrics;
  }

  @Override
  public void close() {
    hook.release();
    coefficients.close();
    subspace.close();
  }
}
