package io.holdfast.train;

import io.holdfast.HoldfastException;
import io.holdfast.data.Example;
import io.holdfast.data.ExampleReader;
import io.holdfast.geometry.Basis;
import io.holdfast.guard.Guard;
import io.holdfast.guard.GuardedPositions;
import io.holdfast.guard.HardConstraint;
import io.holdfast.guard.KlGuard;
import io.holdfast.guard.ReferenceCoefficients;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.guard.SubspaceFit;
import io.holdfast.guard.SubspaceGuard;
import io.holdfast.kernels.Kernels;
import io.holdfast.model.Decoder;
import io.holdfast.train.config.GuardConfig;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.AbstractList;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;

/** From the {@code guard} section of a configuration to guards, ready to hold a run. */
final class GuardAssembly {
  /** Directions per layer where none are asked for. */
  private static final int RANK = 16;

  private final GuardConfig config;
  private final Decoder reference;
  private final String modelHash;
  private final ExampleReader reader;
  private final Kernels kernels;
  private final Path folder;
  private final int batchSize;
  private final long seed;

  /**
   * An assembly.
   *
   * @param reference the start of the run
   * @param folder where fitted subspaces and reference coefficients are kept
   * @param batchSize rows of a micro-batch
   * @param seed of random controls, and of the order in which baselines draw their own rows
   */
  GuardAssembly(
      GuardConfig config,
      Decoder reference,
      String modelHash,
      ExampleReader reader,
      Kernels kernels,
      Path folder,
      int batchSize,
      long seed) {
    this.config = config;
    this.reference = reference;
    this.modelHash = modelHash;
    this.reader = reader;
    this.kernels = kernels;
    this.folder = folder;
    this.batchSize = batchSize;
    this.seed = seed;
  }

  /** Safety prompts that join the batches, if the configuration names any. */
  List<Example> anchors() {
    return config.anchors().map(reader::readPrompts).orElse(List.of());
  }

  /** The guards, KL first, so that it weighs rows before others look at them; baselines last. */
  List<Guard> guards(List<Example> examples, List<Example> anchors, String dataHash) {
    var guards = new ArrayList<Guard>();
    config.kl().map(this::kl).ifPresent(guards::add);
    config
        .subspace()
        .ifPresent(settings -> guards.addAll(subspace(settings, examples, anchors, dataHash)));
    var baselines = new BaselineAssembly(reader, modelHash, batchSize, seed);
    config.baselines().forEach(baseline -> guards.add(baselines.guard(baseline)));
    return guards;
  }

  private KlGuard kl(GuardConfig.Kl kl) {
    return new KlGuard(kl.weighting(), kl.anchors().isPresent() ? kl.anchorWeight() : 0);
  }

  private List<Guard> subspace(
      GuardConfig.Subspace settings,
      List<Example> examples,
      List<Example> anchors,
      String dataHash) {
    var guards = new ArrayList<Guard>();
    var subspace = chosen(settings);
    if (settings.constraint() != GuardConfig.Constraint.SOFT) {
      var directions = new TreeMap<Integer, Basis>();
      subspace.layers().forEach(layer -> directions.put(layer, subspace.directions(layer)));
      guards.add(new HardConstraint(directions, settings.readers(), subspace.isRandom()));
    }
    if (settings.constraint() == GuardConfig.Constraint.HARD) {
      subspace.close();
    } else {
      guards.add(soft(settings, subspace, examples, anchors, dataHash));
    }
    return guards;
  }

  /** The basis of a file or of a contrast, or as many random directions. */
  private SafetySubspace chosen(GuardConfig.Subspace settings) {
    var subspace =
        settings.basis().map(file -> loaded(file, settings)).orElseGet(() -> fitted(settings));
    int slots = reference.architecture().depth();
    for (int layer : subspace.layers()) {
      if (layer > slots) {
        throw HoldfastException.usage(
            "guard.subspace: the subspace has slot %d, the model's residual stream ends at slot %d",
            layer, slots);
      }
    }
    if (settings.control() == GuardConfig.Control.NONE) {
      return subspace;
    }
    try (subspace) {
      return subspace.randomized(seed);
    }
  }

  /** A file's subspace, or the part of it that the configuration asks for. */
  private SafetySubspace loaded(Path file, GuardConfig.Subspace settings) {
    var whole = SafetySubspace.load(file, modelHash);
    if (settings.layers().isEmpty() && settings.rank().isEmpty()) {
      return whole;
    }
    try (whole) {
      var wanted = settings.layers().isEmpty() ? whole.layers() : layers(settings);
      if (!whole.layers().containsAll(wanted) || settings.rank().orElse(1) > whole.rank()) {
        throw HoldfastException.usage(
            "guard.subspace: layers %s with rank %d are asked for, but %s has layers %s with rank"
                + " %d",
            wanted, settings.rank().orElse(whole.rank()), file, whole.layers(), whole.rank());
      }
      return whole.part(wanted, settings.rank().orElse(whole.rank()));
    }
  }

  private SubspaceGuard soft(
      GuardConfig.Subspace settings,
      SafetySubspace subspace,
      List<Example> examples,
      List<Example> anchors,
      String dataHash) {
    var positions = positions(settings);
    var all = joined(examples, anchors);
    var key =
        "model %s, data %s, positions %s + %d, layers %s, rank %d, subspace %s"
            .formatted(
                modelHash,
                dataHash,
                settings.positions(),
                settings.answerTokens(),
                subspace.layers(),
                subspace.rank(),
                subspace.fingerprint());
    var coefficients =
        ReferenceCoefficients.of(
            folder.resolve("reference-coefficients.safetensors"),
            key,
            all,
            positions,
            subspace,
            reference,
            kernels);
    return new SubspaceGuard(
        new SubspaceGuard.Settings(
            settings.weight(),
            settings.filter(),
            settings.stability(),
            settings.geometry(),
            settings.weighsByRisk(),
            settings.taskWeight() == GuardConfig.RowWeight.ONE_MINUS_RISK),
        subspace,
        coefficients,
        positions,
        anchors,
        kernels);
  }

  /** Both lists, of which the first may be larger than memory. */
  static List<Example> joined(List<Example> first, List<Example> second) {
    return new AbstractList<>() {
      @Override
      public Example get(int i) {
        return i < first.size() ? first.get(i) : second.get(i - first.size());
      }

      @Override
      public int size() {
        return first.size() + second.size();
      }
    };
  }

  private SafetySubspace fitted(GuardConfig.Subspace settings) {
    var contrast = settings.contrast().orElseThrow();
    var harmful = reader.readPrompts(contrast.harmful());
    var benign = reader.readPrompts(contrast.benign());
    var subspace =
        SubspaceFit.fit(
            reference, harmful, benign, layers(settings), settings.rank().orElse(RANK), modelHash);
    subspace.save(
        folder.resolve("safety-subspace.safetensors"),
        Map.of("harmful", contrast.harmful().toString(), "benign", contrast.benign().toString()));
    return subspace;
  }

  private List<Integer> layers(GuardConfig.Subspace settings) {
    int slots = reference.architecture().depth();
    if (settings.layers().isEmpty()) {
      return IntStream.range(1, slots).boxed().toList();
    }
    return settings.layers().get().stream()
        .map(
            layer -> {
              int slot = layer < 0 ? slots + 1 + layer : layer;
              if (slot < 0 || slot > slots) {
                throw HoldfastException.usage(
                    "guard.subspace.layers: %d; the residual stream of this model has slots 0 to"
                        + " %d",
                    layer, slots);
              }
              return slot;
            })
        .sorted()
        .distinct()
        .toList();
  }

  private static GuardedPositions positions(GuardConfig.Subspace settings) {
    return example -> {
      int prompt = example.promptEnd();
      var named = settings.positions().stream().flatMapToInt(p -> Arrays.stream(p.of(example)));
      int answered =
          prompt < 0 ? 0 : Math.min(settings.answerTokens(), example.length() - 1 - prompt);
      return IntStream.concat(named, IntStream.rangeClosed(prompt + 1, prompt + answered))
          .sorted()
          .distinct()
          .toArray();
    };
  }

  /** Makes the folder that keeps what is computed. */
  static Path folder(Path run) {
    try {
      return Files.createDirectories(run.resolve("guard"));
    } catch (java.io.IOException e) {
      throw HoldfastException.input(
          "%s: cannot be created (%s)", run.resolve("guard"), e.getMessage());
    }
  }
}
