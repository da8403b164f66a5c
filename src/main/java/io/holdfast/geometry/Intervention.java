package io.holdfast.geometry;

import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import java.util.HashMap;
import java.util.Map;
import java.util.SortedMap;
import org.bytedeco.pytorch.Tensor;

/**
 * Edits of the residual stream while a model computes (Arditi et al. 2024, section 2.4).
 *
 * @param edits by the site at which each is made
 * @param reach the tokens they are made at
 */
public record Intervention(Map<Site, Edit> edits, Reach reach) implements Tap {
  /**
   * Directional ablation: what lies inside a subspace is removed from the input of every block and
   * from all that attention and MLP add.
   *
   * @param depth blocks of the model
   */
  public static Intervention ablating(Basis subspace, int depth, Reach reach) {
    return everywhere(rewrite(subspace, subspace), depth, reach);
  }

  /**
   * The control of an ablation whose changes are as large: what is read along one subspace is taken
   * away along another of the same rank, so that each token moves as far, another way. Whatever
   * enters the stream is changed once, where it enters: it is still there to be read before every
   * block, where ablation finds nothing more.
   */
  public static Intervention moving(Basis read, Basis written, int depth, Reach reach) {
    var all = everywhere(rewrite(read, written), depth, reach);
    var edits = new HashMap<>(all.edits);
    edits
        .keySet()
        .removeIf(site -> site.kind() == Site.Kind.BLOCK_INPUT && !site.equals(Site.residual(0)));
    return new Intervention(edits, reach);
  }

  private static Edit rewrite(Basis read, Basis written) {
    return new Edit.Rewrite(read.vectors(), written.vectors(), new double[1][read.rank()]);
  }

  /** One edit at the input of every block and of all that attention and MLP add. */
  static Intervention everywhere(Edit edit, int depth, Reach reach) {
    var edits = new HashMap<Site, Edit>();
    for (int layer = 0; layer < depth; layer++) {
      for (var kind : Site.Kind.values()) {
        edits.put(new Site(kind, layer), edit);
      }
    }
    return new Intervention(edits, reach);
  }

  /**
   * Affine ablation: at each slot of the residual stream what lies inside the slot's subspace
   * becomes what it is at a centre, such as the mean of benign prompts at the same tokens. Where
   * zero is no neutral value along a direction, this is what removes it.
   *
   * @param subspaces by slot
   * @param centres {@code [1][d]} by slot, or {@code [tokens][d]} with one for each token reached
   */
  public static Intervention centring(
      SortedMap<Integer, Basis> subspaces, SortedMap<Integer, double[][]> centres, Reach reach) {
    var edits = new HashMap<Site, Edit>();
    subspaces.forEach(
        (slot, subspace) ->
            edits.put(
                Site.residual(slot), Edit.Rewrite.centring(subspace, subspace, centres.get(slot))));
    return new Intervention(edits, reach);
  }

  /** Activation addition: a vector is added at one slot of the residual stream. */
  public static Intervention adding(double[] vector, int slot, Reach reach) {
    return adding(new Edit.Shift(vector), slot, reach);
  }

  static Intervention adding(Edit edit, int slot, Reach reach) {
    return new Intervention(Map.of(Site.residual(slot), edit), reach);
  }

  /** The same for passes that end with so many tokens of the answer. */
  Intervention withAnswer(int tokens) {
    return new Intervention(edits, reach.withAnswer(tokens));
  }

  @Override
  public boolean wants(Site site) {
    return edits.containsKey(site);
  }

  @Override
  public Tensor at(Site site, Tensor hidden) {
    return reach.edit(hidden, edits.get(site)::apply);
  }
}
