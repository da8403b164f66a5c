package io.holdfast.geometry;

import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.torch.Scope;
import java.util.SortedMap;
import java.util.TreeMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * The control of {@link Intervention#centring} whose changes are as large: what centring would take
 * away at a slot is taken away along other directions. Each slot is read as if the slots before it
 * had been centred in earnest, so that nothing is taken away twice.
 */
public final class MatchedCentring implements Tap {
  private final SortedMap<Integer, Edit.Rewrite> real = new TreeMap<>();
  private final SortedMap<Integer, Edit.Rewrite> control = new TreeMap<>();
  private final Reach reach;

  /** Where centring would have led in this pass, minus where this led, at the reached tokens. */
  private Tensor apart;

  /**
   * A control.
   *
   * @param subspaces that are centred, by slot
   * @param written along which the changes are made, of the same ranks
   * @param centres as centring takes them
   */
  public MatchedCentring(
      SortedMap<Integer, Basis> subspaces,
      SortedMap<Integer, Basis> written,
      SortedMap<Integer, double[][]> centres,
      Reach reach) {
    subspaces.forEach(
        (slot, basis) -> {
          real.put(slot, Edit.Rewrite.centring(basis, basis, centres.get(slot)));
          control.put(slot, Edit.Rewrite.centring(basis, written.get(slot), centres.get(slot)));
        });
    this.reach = reach;
  }

  @Override
  public boolean wants(Site site) {
    return site.kind() == Site.Kind.BLOCK_INPUT && real.containsKey(site.layer());
  }

  @Override
  public Tensor at(Site site, Tensor hidden) {
    return reach.edit(hidden, states -> moved(site.layer(), states));
  }

  /** Changes the reached states {@code [batch, tokens, d]}. */
  private Tensor moved(int slot, Tensor states) {
    try (var scope = Scope.open()) {
      var wide = states.to(ScalarType.Float);
      var centred = slot == real.firstKey() ? wide : wide.add(apart);
      var change = real.get(slot).coefficients(centred);
      var here = wide.sub(control.get(slot).along(change));
      follow(slot, centred.sub(real.get(slot).along(change)).sub(here));
      return scope.keep(here.to(states.scalar_type()));
    }
  }

  /** The difference lives from slot to slot, which no scope spans. */
  private void follow(int slot, Tensor difference) {
    if (slot != real.firstKey()) {
      apart.releaseReference();
    }
    apart = difference;
    if (slot != real.lastKey()) {
      apart.retainReference();
    }
  }
}
