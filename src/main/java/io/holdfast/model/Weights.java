package io.holdfast.model;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.kernels.DType;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import java.util.TreeSet;
import org.bytedeco.pytorch.GeneratorOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/** The weights of a decoder by their names in the checkpoint. */
public final class Weights implements AutoCloseable {
  private final SequencedMap<String, Tensor> tensors = new LinkedHashMap<>();
  private final TensorOwner owner = new TensorOwner();
  private final AutoCloseable source;

  private Weights(AutoCloseable source) {
    this.source = source;
  }

  /**
   * The weights of a folder. Where the file holds the type that is asked for and the device is the
   * CPU, they are the mapped file itself, read-only and without a copy.
   *
   * @param folder closed with the weights
   */
  public static Weights mapped(ModelFolder folder, Architecture architecture, DType dtype) {
    var weights = new Weights(folder);
    var expected = shapes(architecture);
    check(folder, expected, architecture);
    try (var scope = Scope.open()) {
      expected.forEach(
          (name, shape) -> {
            var entry = folder.tensor(name);
            if (!Arrays.equals(entry.sizes(), shape)) {
              throw HoldfastException.input(
                  "%s: tensor %s has shape %s, config.json asks for %s",
                  folder.path(), name, entry.shape(), Arrays.toString(shape));
            }
            var tensor = Tensors.placed(Tensors.sharing(entry.data(), entry.dtype(), shape));
            weights.put(
                name, entry.dtype() == dtype ? tensor : tensor.to(Tensors.scalarType(dtype)));
          });
    }
    return weights;
  }

  private static void check(
      ModelFolder folder, SequencedMap<String, long[]> expected, Architecture architecture) {
    var surplus = new TreeSet<>(folder.names());
    surplus.removeAll(expected.keySet());
    // Old checkpoints carry a buffer that is computed anyway, and some repeat a tied head.
    surplus.removeIf(name -> name.endsWith("rotary_emb.inv_freq"));
    if (architecture.tied()) {
      surplus.remove("lm_head.weight");
    }
    var missing = new TreeSet<>(expected.keySet());
    missing.removeAll(folder.names());
    if (!missing.isEmpty() || !surplus.isEmpty()) {
      throw HoldfastException.input(
          "%s: config.json and the weights do not belong together: %s%s. Check"
              + " tie_word_embeddings, attention_bias, mlp_bias and num_hidden_layers.",
          folder.path(),
          missing.isEmpty() ? "" : missing.size() + " tensors missing, first " + missing.first(),
          surplus.isEmpty()
              ? ""
              : (missing.isEmpty() ? "" : "; ")
                  + surplus.size()
                  + " unknown tensors, first "
                  + surplus.first());
    }
  }

  /**
   * New weights as {@code transformers} initialises them: normal with deviation 0.02, the gain of
   * norms one, biases zero.
   */
  public static Weights random(Architecture architecture, long seed) {
    var weights = new Weights(() -> {});
    try (var scope = Scope.open()) {
      torch.manual_seed(seed);
      shapes(architecture)
          .forEach(
              (name, shape) -> {
                // Drawn on the host, so that every device begins with the same weights.
                var tensor = Tensors.emptyOnHost(torch.ScalarType.Float, shape);
                if (name.endsWith("norm.weight")) {
                  tensor.fill_(new Scalar(architecture.norms().onePlus() ? 0 : 1));
                } else if (name.endsWith(".bias")) {
                  tensor.zero_();
                } else {
                  tensor.normal_(0, 0.02, new GeneratorOptional());
                }
                weights.put(name, Tensors.placed(tensor));
              });
    }
    return weights;
  }

  /** The same weights in memory of their own, which training may write. */
  public Weights copy() {
    return copy(dtype());
  }

  /** The same weights, rounded to a type, in memory of their own, which training may write. */
  public Weights copy(DType dtype) {
    var copy = new Weights(() -> {});
    try (var scope = Scope.open()) {
      tensors.forEach((name, tensor) -> copy.put(name, Tensors.copy(tensor, dtype)));
    }
    return copy;
  }

  /** The type of all weights. */
  public DType dtype() {
    return Tensors.dtype(tensors.firstEntry().getValue().scalar_type());
  }

  /**
   * The same weights but for some, which take the place of those of their names or are new.
   *
   * @param others taken over
   * @param source closed with the result; it keeps these weights alive
   */
  Weights with(SequencedMap<String, Tensor> others, AutoCloseable source) {
    var changed = new Weights(source);
    changed.tensors.putAll(tensors);
    others.forEach(changed::put);
    return changed;
  }

  private void put(String name, Tensor tensor) {
    tensors.put(name, owner.own(tensor));
  }

  /**
   * A tensor as an entry of a file; on the CPU it shares the tensor's memory, so write it before
   * that changes.
   */
  public static TensorEntry entry(String name, Tensor tensor) {
    return new TensorEntry(
        name,
        Tensors.dtype(tensor.scalar_type()),
        Arrays.stream(Tensors.shape(tensor)).boxed().toList(),
        Tensors.hostMemory(tensor));
  }

  /** One weight. */
  public Tensor get(String name) {
    var tensor = tensors.get(name);
    if (tensor == null) {
      throw new IllegalArgumentException("no weight is called " + name);
    }
    return tensor;
  }

  /** All weights, in the order of the forward pass. */
  public SequencedMap<String, Tensor> all() {
    return tensors;
  }

  /** The name and shape of every weight that an architecture needs. */
  public static SequencedMap<String, long[]> shapes(Architecture a) {
    var shapes = new LinkedHashMap<String, long[]>();
    shapes.put("model.embed_tokens.weight", new long[] {a.vocabulary(), a.hidden()});
    for (int layer = 0; layer < a.depth(); layer++) {
      block(shapes, "model.layers." + layer + ".", a);
    }
    shapes.put("model.norm.weight", new long[] {a.hidden()});
    if (!a.tied()) {
      shapes.put("lm_head.weight", new long[] {a.vocabulary(), a.hidden()});
    }
    return shapes;
  }

  private static void block(SequencedMap<String, long[]> shapes, String prefix, Architecture a) {
    long query = (long) a.heads() * a.headDim();
    long keyValue = (long) a.kvHeads() * a.headDim();
    long[] width = {a.hidden()};
    long[] head = {a.headDim()};
    var attention = prefix + "self_attn.";
    boolean inputBias = a.attention().inputBias();
    shapes.put(prefix + "input_layernorm.weight", width);
    if (a.attention().fused()) {
      linear(shapes, attention + "qkv_proj", query + 2 * keyValue, a.hidden(), inputBias);
    } else {
      linear(shapes, attention + "q_proj", query, a.hidden(), inputBias);
      linear(shapes, attention + "k_proj", keyValue, a.hidden(), inputBias);
      linear(shapes, attention + "v_proj", keyValue, a.hidden(), inputBias);
    }
    linear(shapes, attention + "o_proj", a.hidden(), query, a.attention().outputBias());
    if (a.norms().queryKey()) {
      shapes.put(attention + "q_norm.weight", head);
      shapes.put(attention + "k_norm.weight", head);
    }
    shapes.put(prefix + "post_attention_layernorm.weight", width);
    if (a.norms().sandwich()) {
      shapes.put(prefix + "pre_feedforward_layernorm.weight", width);
      shapes.put(prefix + "post_feedforward_layernorm.weight", width);
    }
    boolean mlpBias = a.mlp().bias();
    if (a.mlp().fused()) {
      linear(shapes, prefix + "mlp.gate_up_proj", 2L * a.intermediate(), a.hidden(), mlpBias);
    } else {
      linear(shapes, prefix + "mlp.gate_proj", a.intermediate(), a.hidden(), mlpBias);
      linear(shapes, prefix + "mlp.up_proj", a.intermediate(), a.hidden(), mlpBias);
    }
    linear(shapes, prefix + "mlp.down_proj", a.hidden(), a.intermediate(), mlpBias);
  }

  private static void linear(
      SequencedMap<String, long[]> shapes, String module, long out, long in, boolean biased) {
    shapes.put(module + ".weight", new long[] {out, in});
    if (biased) {
      shapes.put(module + ".bias", new long[] {out});
    }
  }

  @Override
  public void close() {
    owner.close();
    try {
      source.close();
    } catch (Exception e) {
      throw new IllegalStateException("the source of the weights did not close", e);
    }
  }
}
