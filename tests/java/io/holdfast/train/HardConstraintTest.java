package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.geometry.Basis;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.model.Decoder;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The hard constraint along whole runs: what no step may add is not there after any of them. */
class HardConstraintTest {
  private static final int WIDTH = 16;
  private static final int RANK = 3;
  private static final int STEPS = 4;

  @TempDir Path folder;
  private TinyRun run;
  private Path model;

  /** A model whose norms have gains, which the random one has not. */
  @BeforeEach
  void model() {
    run = TinyRun.in(folder);
    model = folder.resolve("gains");
    try (var scope = Scope.open();
        var noGrad = NoGrad.on();
        var decoder = Decoder.load(run.model()).copy();
        var files = ModelFolder.open(run.model())) {
      long seed = 1;
      for (var weight : decoder.weights().all().entrySet()) {
        if (weight.getKey().contains("norm")) {
          double[] gain = new java.util.SplittableRandom(seed++).doubles(WIDTH, 0.5, 2).toArray();
          weight.getValue().copy_(Tensors.of(gain, WIDTH));
        }
      }
      ModelFolder.save(
          model,
          files.config(),
          TensorState.entries("", decoder.weights().all()),
          run.model(),
          ModelFolder.SHARD_BYTES);
    }
    try (var files = ModelFolder.open(model);
        var subspace = subspace(files.hash(), 1, 2)) {
      subspace.save(basis(), Map.of());
    }
  }

  private Path basis() {
    return folder.resolve("basis.safetensors");
  }

  private static SafetySubspace subspace(String hash, int... slots) {
    var bases = new TreeMap<Integer, double[][]>();
    var scales = new TreeMap<Integer, Double>();
    for (int slot : slots) {
      var vectors = Basis.random(WIDTH, RANK, slot).vectors();
      var columns = new double[WIDTH][RANK];
      for (int i = 0; i < WIDTH; i++) {
        for (int k = 0; k < RANK; k++) {
          columns[i][k] = vectors[k][i];
        }
      }
      bases.put(slot, columns);
      scales.put(slot, 1.0);
    }
    return new SafetySubspace(bases, scales, hash);
  }

  private Path train(String name, String... more) {
    var settings =
        new java.util.ArrayList<>(
            List.of(
                "model=" + model,
                "steps=" + STEPS,
                "schedule.warmup_steps=0",
                "checkpoint.every=1",
                "checkpoint.keep=10",
                "guard.subspace.constraint=hard",
                "guard.subspace.basis=" + basis()));
    settings.addAll(Arrays.asList(more));
    TinyRun.train(run.config(name, settings.toArray(String[]::new)));
    return run.output(name);
  }

  private static double[][] matrix(Safetensors file, String name) {
    var tensor = file.get(name);
    int columns = (int) tensor.sizes()[1];
    var rows = new double[(int) tensor.sizes()[0]][columns];
    for (int i = 0; i < rows.length * columns; i++) {
      rows[i / columns][i % columns] = tensor.data().get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4L * i);
    }
    return rows;
  }

  private static double[][] minus(double[][] a, double[][] b) {
    var rows = new double[a.length][a[0].length];
    for (int i = 0; i < a.length; i++) {
      for (int j = 0; j < a[0].length; j++) {
        rows[i][j] = a[i][j] - b[i][j];
      }
    }
    return rows;
  }

  private static double[][] transposed(double[][] a) {
    var rows = new double[a[0].length][a.length];
    for (int i = 0; i < a.length; i++) {
      for (int j = 0; j < a[0].length; j++) {
        rows[j][i] = a[i][j];
      }
    }
    return rows;
  }

  /** {@code dW diag(gain) U = 0} for a reader, as a share of dW. */
  private static double readerShare(double[][] update, double[] gain, int slot) {
    var seen = new double[update.length][];
    for (int i = 0; i < update.length; i++) {
      seen[i] = update[i].clone();
      for (int j = 0; j < gain.length; j++) {
        seen[i][j] *= gain[j];
      }
    }
    return Basis.random(WIDTH, RANK, slot).share(seen);
  }

  private double[] gain(String name) {
    try (var files = ModelFolder.open(model)) {
      var data = files.tensor(name).data();
      var gain = new double[WIDTH];
      for (int i = 0; i < WIDTH; i++) {
        gain[i] = data.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4L * i);
      }
      return gain;
    }
  }

  @Test
  void inFullFineTuningNoStepWritesToOrReadsFromTheSubspace() {
    var output = train("full");
    try (var before = Safetensors.open(model.resolve("model.safetensors"))) {
      for (int step = 1; step <= STEPS; step++) {
        var file = output.resolve("checkpoints/step-" + step + "/model.safetensors");
        try (var after = Safetensors.open(file)) {
          for (int block = 0; block < 2; block++) {
            var prefix = "model.layers." + block + ".";
            for (var writer : List.of("self_attn.o_proj", "mlp.down_proj")) {
              var name = prefix + writer + ".weight";
              var update = transposed(minus(matrix(after, name), matrix(before, name)));
              double share = Basis.random(WIDTH, RANK, block + 1).share(update);
              assertEquals(0, share, 1e-9, name + " after step " + step);
            }
          }
          // Slot 1 is read by block 1, through its norms.
          var prefix = "model.layers.1.";
          for (var reader : List.of("self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj")) {
            var name = prefix + reader + ".weight";
            var norm = reader.startsWith("mlp") ? "post_attention" : "input";
            var gain = gain(prefix + norm + "_layernorm.weight");
            var update = minus(matrix(after, name), matrix(before, name));
            assertEquals(0, readerShare(update, gain, 1), 1e-9, name + " after step " + step);
            assertTrue(Basis.random(WIDTH, RANK, 1).share(update) > 1e-3, "the gain matters");
          }
          // Slot 0 is not guarded: what reads it learns freely.
          var free = "model.layers.0.self_attn.v_proj.weight";
          double share =
              Basis.random(WIDTH, RANK, 1).share(minus(matrix(after, free), matrix(before, free)));
          assertTrue(share > 1e-3, "a reader of a slot that is not guarded: " + share);
        }
      }
    }
  }

  @Test
  void inALoraTheFactorsHaveNoPartInTheSubspaceAfterAnyStep() {
    var output = train("lora", "tune.lora.rank=2", "tune.lora.targets=[q_proj, o_proj, down_proj]");
    for (int step = 1; step <= STEPS; step++) {
      var file = output.resolve("checkpoints/step-" + step + "/adapter_model.safetensors");
      try (var adapter = Safetensors.open(file)) {
        for (int block = 0; block < 2; block++) {
          var prefix = "base_model.model.model.layers." + block + ".";
          for (var writer : List.of("self_attn.o_proj", "mlp.down_proj")) {
            var b = transposed(matrix(adapter, prefix + writer + ".lora_B.weight"));
            assertEquals(0, Basis.random(WIDTH, RANK, block + 1).share(b), 1e-9);
          }
        }
        var a = matrix(adapter, "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight");
        var gain = gain("model.layers.1.input_layernorm.weight");
        assertEquals(0, readerShare(a, gain, 1), 1e-9);
      }
    }
  }

  /** The embedding writes slot 0, in a full run and where a LoRA's modules_to_save name it. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "tune=full",
        "tune={lora: {rank: 2, targets: [q_proj], modules_to_save: [embed_tokens]}}"
      })
  void theEmbeddingDoesNotWriteToTheSubspaceOfTheFirstSlot(String tune) {
    try (var files = ModelFolder.open(model);
        var first = subspace(files.hash(), 0)) {
      first.save(basis(), Map.of());
    }
    var output = train("embedding", tune).resolve("checkpoints/step-" + STEPS);
    boolean full = tune.equals("tune=full");
    var file = output.resolve(full ? "model.safetensors" : "adapter_model.safetensors");
    var name = full ? "model.embed_tokens.weight" : "base_model.model.model.embed_tokens.weight";
    try (var before = Safetensors.open(model.resolve("model.safetensors"));
        var after = Safetensors.open(file)) {
      var update = minus(matrix(after, name), matrix(before, "model.embed_tokens.weight"));
      assertTrue(Arrays.stream(update).flatMapToDouble(Arrays::stream).anyMatch(x -> x != 0));
      assertEquals(0, Basis.random(WIDTH, RANK, 0).share(update), 1e-9);
    }
  }

  @Test
  void readersAreLeftAloneWhereOnlyWritersAreAsked() {
    var output = train("writers", "guard.subspace.readers=false");
    var name = "model.layers.1.self_attn.v_proj.weight";
    try (var before = Safetensors.open(model.resolve("model.safetensors"));
        var after =
            Safetensors.open(output.resolve("checkpoints/step-" + STEPS + "/model.safetensors"))) {
      var gain = gain("model.layers.1.input_layernorm.weight");
      var update = minus(matrix(after, name), matrix(before, name));
      assertTrue(readerShare(update, gain, 1) > 1e-3);
    }
  }

  /** The control holds the same weights out of other directions. */
  @Test
  void theRandomControlIsAnotherSubspaceAndSaysSo() throws Exception {
    var output = train("control", "guard.subspace.control=random");
    var name = "model.layers.0.mlp.down_proj.weight";
    try (var before = Safetensors.open(model.resolve("model.safetensors"));
        var after =
            Safetensors.open(output.resolve("checkpoints/step-" + STEPS + "/model.safetensors"))) {
      var update = transposed(minus(matrix(after, name), matrix(before, name)));
      assertTrue(Basis.random(WIDTH, RANK, 1).share(update) > 1e-3);
      assertEquals(0, Basis.random(WIDTH, RANK, 42 + 1).share(update), 1e-9);
    }
    var manifest = java.nio.file.Files.readString(output.resolve("manifest.json"));
    assertTrue(manifest.contains("hard constraint, writers and readers projected, rank 3"));
    assertTrue(manifest.contains("random subspace"), manifest);
  }

  @Test
  void softAndHardTogetherAreTwoFormulasInTheManifest() throws Exception {
    var output = train("both", "guard.subspace.constraint=both", "data.train=" + chats());
    var manifest = java.nio.file.Files.readString(output.resolve("manifest.json"));
    assertTrue(manifest.contains("RefusalGuard-style hard constraint"), manifest);
    assertTrue(manifest.contains("RefusalGuard-style subspace constraint"), manifest);
  }

  private String chats() {
    return "[" + folder.resolve("chats.jsonl") + "]";
  }

  @ParameterizedTest
  @ValueSource(strings = {"[gate_proj]", "[k_proj]"})
  void nothingToHoldIsAnError(String targets) {
    try (var files = ModelFolder.open(model);
        var last = subspace(files.hash(), 2)) {
      last.save(basis(), Map.of());
    }
    // Slot 2 is the last one: no block reads it, and these do not write.
    var error =
        assertThrows(HoldfastException.class, () -> train("none", "tune.lora.targets=" + targets));
    assertEquals(ExitCode.USAGE, error.exitCode());
    assertTrue(error.getMessage().contains("nothing that is trained writes to or reads from"));
  }

  /** Of a basis of two layers and three directions, one layer and two directions are held. */
  @Test
  void aPartOfABasisMayBeAskedFor() {
    var output = train("part", "guard.subspace.layers=[1]", "guard.subspace.rank=2");
    var first = new Basis(Arrays.copyOf(Basis.random(WIDTH, RANK, 1).vectors(), 2));
    var third = new Basis(new double[][] {Basis.random(WIDTH, RANK, 1).vectors()[2]});
    try (var before = Safetensors.open(model.resolve("model.safetensors"));
        var after =
            Safetensors.open(output.resolve("checkpoints/step-" + STEPS + "/model.safetensors"))) {
      var held = "model.layers.0.mlp.down_proj.weight";
      var update = transposed(minus(matrix(after, held), matrix(before, held)));
      assertEquals(0, first.share(update), 1e-9);
      assertTrue(third.share(update) > 1e-3);
      var free = "model.layers.1.mlp.down_proj.weight";
      var other = transposed(minus(matrix(after, free), matrix(before, free)));
      assertTrue(Basis.random(WIDTH, RANK, 2).share(other) > 1e-3);
    }
    for (var beyond : List.of("guard.subspace.layers=[0]", "guard.subspace.rank=4")) {
      var error = assertThrows(HoldfastException.class, () -> train("beyond", beyond));
      assertEquals(ExitCode.USAGE, error.exitCode());
      assertTrue(error.getMessage().contains("has layers [1, 2] with rank 3"), error.getMessage());
    }
  }

  @Test
  void whatTheHardConstraintDoesNotLookAtIsRefused() {
    for (var unused : List.of("filter=1", "task_weight=one_minus_risk", "risk_column=risk")) {
      var error =
          assertThrows(HoldfastException.class, () -> train("unused", "guard.subspace." + unused));
      assertTrue(error.getMessage().contains("need soft or both"), error.getMessage());
    }
  }

  @Test
  void aLayerThatTheModelLacksIsAnError() {
    try (var files = ModelFolder.open(model);
        var beyond = subspace(files.hash(), 2, 3)) {
      beyond.save(basis(), Map.of());
    }
    var error = assertThrows(HoldfastException.class, () -> train("beyond"));
    assertEquals(ExitCode.USAGE, error.exitCode());
    assertTrue(error.getMessage().contains("slot 3"), error.getMessage());
  }
}
