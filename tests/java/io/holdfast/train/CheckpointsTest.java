package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AdapterFolder;
import io.holdfast.model.AdaptedDecoder;
import io.holdfast.model.Decoder;
import io.holdfast.model.Scorer;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Scalar;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CheckpointsTest {
  private static final List<int[]> PROBE = List.of(new int[] {5, 17, 40, 3, 99, 120});

  @TempDir Path folder;
  private TinyRun tiny;

  @BeforeEach
  void model() {
    tiny = TinyRun.in(folder);
  }

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  @Test
  void aCheckpointIsAModelWithItsTokenizer() {
    var checkpoint = TinyRun.train(tiny.config("run", "steps=5"));
    try (var before = Decoder.load(tiny.model());
        var after = Decoder.load(checkpoint);
        var chat = ChatTokenizer.load(checkpoint)) {
      assertTrue(chat.tokenizer().eosId().isPresent(), "the tokenizer comes along");
      assertEquals(before.architecture(), after.architecture());
      assertNotEquals(sum(before), sum(after));
    }
  }

  @Test
  void anAdapterCheckpointScoresAsTheMergedModelDoes() {
    var checkpoint =
        TinyRun.train(
            tiny.config("run", "steps=8", "tune={lora: {rank: 4, targets: [q_proj, o_proj]}}"));
    try (var adapted = AdaptedDecoder.load(tiny.model(), checkpoint);
        var merged = adapted.merged()) {
      var expected = new Scorer(adapted.decoder(), 1).score(PROBE).getFirst().lastLogits();
      assertArrayEquals(
          expected, new Scorer(merged, 1).score(PROBE).getFirst().lastLogits(), 1e-5f);
      var start = new Scorer(adapted.base(), 1).score(PROBE).getFirst().lastLogits();
      assertTrue(distance(start, expected) > 1e-3, "the adapter changes nothing");
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "tune={lora: {rank: 4}}",
        "tune={lora: {rank_stabilized: true, modules_to_save: [embed_tokens, model.norm]}}",
        "tune={lora: {ranks: {v_proj: 2}, modules_to_save: [lm_head], ensure_weight_tying: true}}",
      })
  void aRunMayStartFromAnAdapter(String lora) {
    var first = TinyRun.train(tiny.config("first", lora, "steps=8"));
    var more = new String[] {"adapter=" + first, "steps=1", "schedule.warmup_steps=1"};
    // Step 1 of a warm-up has a rate of 0, so what is written is what was read.
    var again = TinyRun.train(tiny.config("again", concat(more, lora)));
    assertEquals(
        TinyRun.bits(first.resolve("adapter_model.safetensors")),
        TinyRun.bits(again.resolve("adapter_model.safetensors")));
    var merged = TinyRun.train(tiny.config("merged", concat(more, "tune=full")));
    try (var adapted = AdaptedDecoder.load(tiny.model(), first);
        var whole = Decoder.load(merged)) {
      assertArrayEquals(
          new Scorer(adapted.decoder(), 1).score(PROBE).getFirst().lastLogits(),
          new Scorer(whole, 1).score(PROBE).getFirst().lastLogits(),
          1e-5f);
    }
  }

  /** What a guard compares with must not move, whichever weights are trained. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "tune={lora: {modules_to_save: [embed_tokens, norm]}}",
        "tune={lora: {modules_to_save: [embed_tokens], ensure_weight_tying: true}}",
        "tune={lora: {modules_to_save: [lm_head]}}",
        "tune=full",
      })
  void theReferenceIsTheModelBeforeTheRun(String tune) {
    try (var model = TunedModel.of(tiny.config("run", tune), "hash");
        var file = Decoder.load(tiny.model())) {
      var start = new Scorer(file, 1).score(PROBE).getFirst().lastLogits();
      var head = Tensors.floats(file.head());
      assertArrayEquals(
          start, new Scorer(model.decoder(), 1).score(PROBE).getFirst().lastLogits(), 1e-6f);
      try (var scope = Scope.open();
          var noGrad = NoGrad.on()) {
        model.parameters().values().forEach(tensor -> tensor.add_(new Scalar(0.1)));
      }
      var moved = new Scorer(model.decoder(), 1).score(PROBE).getFirst().lastLogits();
      assertTrue(distance(start, moved) > 1e-2, "the parameters are not those of the model");
      var reference = model.reference();
      assertArrayEquals(head, Tensors.floats(reference.head()));
      var now = new Scorer(reference.decoder(), 1).score(PROBE).getFirst().lastLogits();
      assertArrayEquals(start, now, 1e-6f);
    }
  }

  @Test
  void anAdapterBringsItsOwnSettings() {
    var first = TinyRun.train(tiny.config("first", "tune={lora: {rank: 4}}", "steps=1"));
    var error =
        assertThrows(
            HoldfastException.class,
            () ->
                TinyRun.train(tiny.config("again", "tune={lora: {rank: 8}}", "adapter=" + first)));
    assertEquals(ExitCode.USAGE, error.exitCode());
    assertTrue(error.getMessage().contains("has settings of its own"), error.getMessage());
    assertTrue(error.getMessage().contains("rank=4"), error.getMessage());
    var taken = TinyRun.train(tiny.config("taken", "tune=lora", "adapter=" + first, "steps=1"));
    try (var adapter = AdapterFolder.open(taken)) {
      assertEquals(4, adapter.config().scaling().rank());
      assertTrue(adapter.baseHash().isPresent());
    }
  }

  @Test
  void theNewestAreKept() throws IOException {
    TinyRun.train(tiny.config("run", "steps=9", "checkpoint={every: 2, keep: 2}"));
    assertEquals(List.of("step-8", "step-9"), names(tiny.output("run").resolve("checkpoints")));
  }

  @Test
  void elevenComesAfterNine() throws IOException {
    TinyRun.train(tiny.config("run", "steps=11", "checkpoint={every: 1, keep: 3}"));
    var run = tiny.output("run");
    assertEquals(List.of("step-10", "step-11", "step-9"), names(run.resolve("checkpoints")));
    assertEquals(Optional.of(run.resolve("checkpoints/step-11")), new Checkpoints(run, 3).latest());
  }

  @Test
  void aHalfWrittenCheckpointIsNotTaken() throws IOException {
    TinyRun.train(tiny.config("run", "steps=4", "checkpoint.every=2"));
    var run = tiny.output("run");
    var half = Files.createDirectory(run.resolve("checkpoints/.tmp-step-6-999999999-1-0"));
    Files.writeString(half.resolve("trainer_state.json"), "{\"step\": 6}");
    assertEquals(Optional.of(run.resolve("checkpoints/step-4")), new Checkpoints(run, 3).latest());
  }

  @Test
  void aCheckpointThatLostAFileIsRefusedByName() throws IOException {
    TinyRun.train(tiny.config("run", "steps=4"));
    var checkpoint = tiny.output("run").resolve("checkpoints/step-4");
    Files.delete(checkpoint.resolve("optimizer.safetensors"));
    var error =
        assertThrows(HoldfastException.class, () -> TinyRun.resume(tiny.config("run", "steps=6")));
    assertEquals(ExitCode.INPUT, error.exitCode());
    assertTrue(error.getMessage().contains("optimizer.safetensors"), error.getMessage());
  }

  @Test
  void aFrozenPartStaysAsItWas() {
    var checkpoint =
        TinyRun.train(tiny.config("run", "steps=5", "freeze=['*embed_tokens*', self_attn]"));
    var before = TinyRun.bits(tiny.model().resolve("model.safetensors"));
    var after = TinyRun.bits(checkpoint.resolve("model.safetensors"));
    assertEquals(before.keySet(), after.keySet());
    before.forEach(
        (name, bits) -> {
          boolean frozen = name.contains("embed_tokens") || name.contains("self_attn");
          assertEquals(frozen, bits.equals(after.get(name)), name);
        });
    var moments = TinyRun.bits(checkpoint.resolve("optimizer.safetensors")).keySet();
    assertFalse(moments.stream().anyMatch(name -> name.contains("self_attn")), "a wasted moment");
  }

  private static String[] concat(String[] some, String one) {
    return Stream.concat(Stream.of(one), Stream.of(some)).toArray(String[]::new);
  }

  private static double sum(Decoder model) {
    double sum = 0;
    for (float logit : new Scorer(model, 1).score(PROBE).getFirst().lastLogits()) {
      sum += logit;
    }
    return sum;
  }

  private static double distance(float[] a, float[] b) {
    double largest = 0;
    for (int i = 0; i < a.length; i++) {
      largest = Math.max(largest, Math.abs(a[i] - b[i]));
    }
    return largest;
  }

  private static List<String> names(Path parent) throws IOException {
    try (var entries = Files.list(parent)) {
      return entries.map(path -> path.getFileName().toString()).sorted().toList();
    }
  }
}
