package io.holdfast.model;

import static org.bytedeco.pytorch.global.torch.embedding;

import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.kernels.DType;
import io.holdfast.torch.ClosedForm;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.BiConsumer;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * A causal transformer on LibTorch: pre-norm blocks with rotary attention and a gated MLP, in every
 * shape that an {@link Architecture} describes.
 *
 * <p>{@link #forward} stops at the final norm; the head belongs to whoever needs logits, because
 * training must never hold one logit per token and vocabulary entry at once.
 */
public final class Decoder implements AutoCloseable {
  private final Architecture architecture;
  private final Weights weights;
  private final TensorOwner owner = new TensorOwner();
  private final Rotations rotations;
  private final List<Block> blocks;
  private final SequencedMap<String, Projection> projections;
  private final SortedMap<Integer, Reft> interventions = new TreeMap<>();
  private final Norm finalNorm;

  /** A decoder that computes with these weights and closes them with itself. */
  public Decoder(Architecture architecture, Weights weights) {
    this.architecture = architecture;
    this.weights = weights;
    this.rotations = new Rotations(owner, weights.dtype());
    var modules = new Modules(architecture, weights);
    this.finalNorm = modules.norm("model.norm.weight");
    this.blocks =
        IntStream.range(0, architecture.depth())
            .mapToObj(layer -> Block.of(architecture, layer, modules))
            .toList();
    this.projections = modules.projections();
  }

  /**
   * The model of a Hugging Face folder, its weights the mapped files themselves: for reading, not
   * for training.
   */
  public static Decoder load(Path folder) {
    return load(folder, DType.FLOAT32);
  }

  /** The model of a folder as {@link #load(Path)} has it, in another type. */
  public static Decoder load(Path folder, DType dtype) {
    var files = ModelFolder.open(folder);
    var architecture = Architecture.of(files.config(), folder);
    return new Decoder(architecture, Weights.mapped(files, architecture, dtype));
  }

  /**
   * The model of a folder in the type of its files: bfloat16 where all weights are, so that they
   * are the mapped files, and float32 otherwise, float16 being slow and narrow on a CPU.
   */
  public static Decoder loadAsStored(Path folder) {
    try (var files = ModelFolder.open(folder)) {
      boolean narrow =
          files.names().stream().allMatch(name -> files.tensor(name).dtype() == DType.BFLOAT16);
      return load(folder, narrow ? DType.BFLOAT16 : DType.FLOAT32);
    }
  }

  /** The same model with weights in memory of its own, which training may write. */
  public Decoder copy() {
    return new Decoder(architecture, weights.copy());
  }

  /** The same model rounded to a type, with weights in memory of its own. */
  public Decoder copy(DType dtype) {
    return new Decoder(architecture, weights.copy(dtype));
  }

  /** The shape of this model. */
  public Architecture architecture() {
    return architecture;
  }

  /** The weights by their names in the checkpoint. */
  public Weights weights() {
    return weights;
  }

  /** The head {@code [V, d]}: the embedding where they are tied. */
  public Tensor head() {
    return weights.get(tied() ? "model.embed_tokens.weight" : "lm_head.weight");
  }

  /**
   * Whether the head is the embedding. An adapter that trains one of them may part those that
   * {@code config.json} ties.
   */
  public boolean tied() {
    return !weights.all().containsKey("lm_head.weight");
  }

  /**
   * Logits of hidden states after the final norm in float32, capped where the model caps them.
   *
   * @param hidden {@code [rows, d]}
   * @return {@code [rows, V]}
   */
  public Tensor logits(Tensor hidden) {
    var logits = hidden.matmul(head().t()).to(torch.ScalarType.Float);
    double cap = architecture.logitCap();
    return cap == 0 ? logits : logits.div(new Scalar(cap)).tanh().mul(new Scalar(cap));
  }

  /**
   * Hidden states as the head reads them, from any slot of the residual stream: by the final norm.
   */
  public Tensor normed(Tensor slot) {
    return finalNorm.apply(slot, Pieces.of(null));
  }

  /**
   * Makes passes in which the input of every linear map is shown to somebody.
   *
   * @param inputs is handed the module's name and {@code [batch, time, in]}
   */
  public void watching(BiConsumer<String, Tensor> inputs, Runnable passes) {
    try {
      projections.values().forEach(projection -> projection.watch(inputs));
      passes.run();
    } finally {
      projections.values().forEach(projection -> projection.watch(null));
    }
  }

  /** Every linear map by its module name, in the order of the forward pass. */
  SequencedMap<String, Projection> projections() {
    return projections;
  }

  /** The adapters that are attached, by module name. */
  public SequencedMap<String, LowRank> adapters() {
    var attached = new LinkedHashMap<String, LowRank>();
    projections.forEach(
        (module, projection) -> {
          if (projection.adapter() != null) {
            attached.put(module, projection.adapter());
          }
        });
    return attached;
  }

  /** Attaches adapters by module name; the decoder takes their tensors over. */
  void attach(Map<String, LowRank> adapters) {
    adapters.forEach(
        (module, adapter) -> {
          owner.own(adapter.a());
          owner.own(adapter.b());
          projections.get(module).attach(adapter);
        });
  }

  /** Puts interventions at slots of the residual stream; the decoder takes their tensors over. */
  void intervene(SortedMap<Integer, Reft> units) {
    units.forEach(
        (slot, unit) -> {
          owner.own(unit.r());
          owner.own(unit.w());
          owner.own(unit.b());
          interventions.put(slot, unit);
        });
  }

  /** The learnt interventions by the slot of the residual stream that they stand at. */
  public SortedMap<Integer, Reft> interventions() {
    return interventions;
  }

  /** Mends what an update of the parameters leaves only almost so. */
  public void settle() {
    interventions.values().forEach(Reft::orthonormalize);
  }

  /** A slot of the residual stream as blocks and taps see it. */
  private Tensor intervened(int slot, Tensor hidden) {
    var unit = interventions.get(slot);
    return unit == null ? hidden : unit.apply(hidden);
  }

  /**
   * Hidden states after the final norm.
   *
   * @param taps are shown the residual stream on the way
   * @return {@code [batch, time, d]}, in the caller's scope
   */
  public Tensor forward(Tokens tokens, AdapterMode mode, List<Tap> taps) {
    return forward(tokens, mode, taps, null);
  }

  /** The same, with the pass's ways back in closed form, or null. */
  Tensor forward(Tokens tokens, AdapterMode mode, List<Tap> taps, ClosedForm forms) {
    try (var scope = Scope.open()) {
      var pass = pass(tokens, mode, taps, forms);
      var hidden = embedded(tokens.ids());
      for (int layer = 0; layer < blocks.size(); layer++) {
        hidden = block(layer, hidden, pass);
      }
      if (tokens.cache() != null) {
        tokens.cache().advance(Math.toIntExact(tokens.ids().size(1)));
      }
      return scope.keep(end(hidden, pass));
    }
  }

  /** What all blocks of one forward pass share. */
  record Pass(
      KvCache cache,
      Sight sight,
      Map<Rope, Rotations.Rotation> rotations,
      AdapterMode mode,
      List<Tap> taps,
      Pieces pieces) {
    /** What taps make of a place of the residual stream. */
    Tensor shown(Site site, Tensor hidden) {
      for (var tap : taps) {
        if (tap.wants(site)) {
          hidden = tap.at(site, hidden);
        }
      }
      return hidden;
    }
  }

  /** Prepares a forward pass, which {@link #embedded}, {@link #block} and {@link #end} make up. */
  Pass pass(Tokens tokens, AdapterMode mode, List<Tap> taps, ClosedForm forms) {
    int time = Math.toIntExact(tokens.ids().size(1));
    int start = tokens.cache() == null ? 0 : tokens.cache().length();
    var turns = new HashMap<Rope, Rotations.Rotation>();
    for (var layer : architecture.layers()) {
      turns.computeIfAbsent(layer.rope(), rope -> rotations.of(rope, tokens));
    }
    var sight =
        tokens.lengths() == null
            ? new Sight(start, time, tokens.mask())
            : Sight.packed(tokens.lengths());
    return new Pass(tokens.cache(), sight, turns, mode, taps, Pieces.of(forms));
  }

  /** The residual stream at slot 0. */
  Tensor embedded(Tensor ids) {
    var hidden = embedding(weights.get("model.embed_tokens.weight"), ids);
    if (architecture.embeddingScale() == 1) {
      return hidden;
    }
    // Rounded to the type of the weights first, as the model was trained.
    var scale = torch.scalar_tensor(new Scalar(architecture.embeddingScale()));
    return hidden.mul(scale.to(hidden.scalar_type()));
  }

  /** From one slot of the residual stream to the next. */
  Tensor block(int layer, Tensor slot, Pass pass) {
    var hidden = pass.shown(Site.residual(layer), intervened(layer, slot));
    return blocks.get(layer).apply(hidden, pass);
  }

  /** From the last slot of the residual stream to the states that the head reads. */
  Tensor end(Tensor slot, Pass pass) {
    int last = blocks.size();
    return finalNorm.apply(pass.shown(Site.residual(last), intervened(last, slot)), pass.pieces());
  }

  /**
   * At which slots of the residual stream a backward pass has something to do: where what is
   * trained stands before them.
   */
  public boolean[] trainedBefore() {
    var trained = new boolean[blocks.size() + 1];
    trained[0] = weights.get("model.embed_tokens.weight").requires_grad();
    for (int layer = 0; layer < blocks.size(); layer++) {
      trained[layer + 1] =
          trained[layer]
              || interventions.containsKey(layer)
              || trains("model.layers." + layer + ".");
    }
    return trained;
  }

  private boolean trains(String prefix) {
    return weights.all().entrySet().stream()
            .anyMatch(w -> w.getKey().startsWith(prefix) && w.getValue().requires_grad())
        || adapters().entrySet().stream()
            .anyMatch(a -> a.getKey().startsWith(prefix) && a.getValue().a().requires_grad());
  }

  @Override
  public void close() {
    projections.values().forEach(Projection::release);
    owner.close();
    weights.close();
  }
}
