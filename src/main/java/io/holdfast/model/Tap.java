package io.holdfast.model;

import java.util.List;
import org.bytedeco.pytorch.Tensor;

/** Reads, replaces, or edits the gradient of hidden states at the sites it asks for. */
public interface Tap {
  /** No taps: the forward pass costs what it costs without them. */
  List<Tap> NONE = List.of();

  /** Whether this tap is to be handed the hidden state at a site. */
  boolean wants(Site site);

  /**
   * Sees one hidden state.
   *
   * @param site where it is
   * @param hidden {@code [batch, time, d]}
   * @return the hidden state to go on with: the same, or another of the same shape
   */
  Tensor at(Site site, Tensor hidden);
}
