package io.holdfast.model;

import io.holdfast.checkpoint.SavedModules;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.Function;
import org.bytedeco.pytorch.Tensor;

/**
 * Copies of the weights that an adapter trains in full.
 *
 * @param base the model they are of
 * @param joined whether embedding and head are one copy, which the adapter's file holds under both
 *     names
 * @param byName the copies by their names in the file
 */
record SavedCopies(Decoder base, boolean joined, SequencedMap<String, Tensor> byName) {
  static final String EMBEDDING = "model.embed_tokens.weight";
  private static final String HEAD = "lm_head.weight";

  /** Copies that are made, or read, by name. */
  static SavedCopies of(Decoder base, SavedModules modules, Function<String, Tensor> copy) {
    boolean joined = joins(base, modules);
    var copies = new LinkedHashMap<String, Tensor>();
    for (var name : names(base, modules)) {
      boolean same = joined && name.equals(HEAD);
      copies.put(name, same ? copies.get(EMBEDDING) : copy.apply(name));
    }
    return new SavedCopies(base, joined, copies);
  }

  /** The names of what is copied, in the order of the forward pass. */
  static List<String> names(Decoder base, SavedModules modules) {
    var all = new ArrayList<>(base.weights().all().keySet());
    if (base.tied()) {
      all.add(HEAD);
    }
    boolean both = joins(base, modules);
    all.removeIf(
        name -> !modules.select(name) && !(both && (name.equals(EMBEDDING) || name.equals(HEAD))));
    return all;
  }

  private static boolean joins(Decoder base, SavedModules modules) {
    return base.tied() && modules.keepsTie();
  }

  /** The weight of this name as the base has it; a tied head is its embedding. */
  static Tensor original(Decoder base, String name) {
    return name.equals(HEAD) ? base.head() : base.weights().get(name);
  }

  /** The shape of the weight of this name. */
  static long[] shape(Decoder base, String name) {
    return Tensors.shape(original(base, name));
  }

  /** What takes the place of the base's weights. */
  SequencedMap<String, Tensor> replacements() {
    var replaced = trained();
    if (!joined && base.tied() && replaced.containsKey(EMBEDDING)) {
      // A copy of the embedding alone: the head is what both were.
      replaced.putIfAbsent(HEAD, base.head());
    }
    return replaced;
  }

  /** Every copy once. */
  SequencedMap<String, Tensor> trained() {
    var trained = new LinkedHashMap<>(byName);
    if (joined) {
      trained.remove(HEAD);
    }
    return trained;
  }
}
