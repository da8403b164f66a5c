package io.holdfast.guard.baseline;

import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.torch.TensorOwner;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Predicate;
import org.bytedeco.pytorch.Tensor;

/** Keeps what a pass shows at some sites, with its graph where there is one. */
final class HiddenStates implements Tap, AutoCloseable {
  private final Predicate<Site> wanted;
  private final boolean withGradient;
  private final Map<Site, Tensor> states = new LinkedHashMap<>();
  private final TensorOwner owner = new TensorOwner();

  /**
   * A tap for one pass.
   *
   * @param withGradient whether the states are to keep their gradient in the pass back
   */
  HiddenStates(Predicate<Site> wanted, boolean withGradient) {
    this.wanted = wanted;
    this.withGradient = withGradient;
  }

  @Override
  public boolean wants(Site site) {
    return wanted.test(site);
  }

  @Override
  public Tensor at(Site site, Tensor hidden) {
    if (withGradient && hidden.requires_grad()) {
      hidden.retain_grad();
    }
    states.put(site, owner.own(hidden));
    return hidden;
  }

  /** The states, in the order of the pass. */
  Map<Site, Tensor> all() {
    return states;
  }

  @Override
  public void close() {
    owner.close();
  }
}
