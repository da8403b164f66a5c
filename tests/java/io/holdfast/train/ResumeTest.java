package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFolder;
import io.holdfast.torch.Scope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A run that was stopped and resumed is the run that was not, bit for bit. */
class ResumeTest {
  private static final String LORA =
      "tune={lora: {rank: 4, alpha: 8, dropout: 0.1, targets: [q_proj, v_proj, down_proj]}}";

  @TempDir Path folder;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private List<String> settings(String kind) {
    var chats = "data.train=[" + folder.resolve("chats.jsonl") + "]";
    var settings = new ArrayList<>(List.of("accumulation=2", "checkpoint.every=10"));
    settings.addAll(
        switch (kind) {
          case "lora" -> List.of(LORA);
          case "full" -> List.of("tune=full");
          case "parted" -> List.of(rich("[embed_tokens, norm]", false));
          case "kept" -> List.of(rich("[lm_head]", true));
          case "grouped" -> List.of("data.group_by_length=true");
          case "packed" -> List.of("data.packing=true", "data.max_length=24", LORA);
          case "bfloat16" -> List.of("precision=bfloat16", "activation_checkpointing=true");
          case "bfloat16-lora" -> List.of("precision=bfloat16", LORA);
          case "guarded", "guarded parted" ->
              List.of(
                  chats,
                  kind.equals("guarded") ? LORA : rich("[embed_tokens, norm]", false),
                  "guard.kl={risk_column: risk, anchors: %s}".formatted(prompts("harmful")),
                  ("guard.subspace={rank: 2, contrast: {harmful: %s, benign: %s}, anchors: %s,"
                          + " risk_column: risk, anchor_batch: 1}")
                      .formatted(prompts("harmful"), prompts("benign"), prompts("harmful")));
          default -> throw new IllegalArgumentException(kind);
        });
    return settings;
  }

  /** Of a tied model, so that its embedding and head part or stay one. */
  private static String rich(String saved, boolean tied) {
    return ("tune={lora: {rank: 4, dropout: 0.1, rank_stabilized: true, ranks: {down_proj: 2},"
            + " alphas: {layers.0.self_attn.q_proj: 8}, targets: all-linear, init: gaussian,"
            + " exclude: [o_proj], modules_to_save: %s, ensure_weight_tying: %s}}")
        .formatted(saved, tied);
  }

  private Path prompts(String name) {
    return folder.resolve(name + ".jsonl");
  }

  private static List<String> questions(String... words) {
    return java.util.Arrays.stream(words)
        .map(
            word ->
                "{\"messages\": [{\"role\": \"user\", \"content\": \"Where is the %s\"}]}"
                    .formatted(word))
        .toList();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "lora",
        "full",
        "parted",
        "kept",
        "grouped",
        "packed",
        "bfloat16",
        "bfloat16-lora",
        "guarded",
        "guarded parted"
      })
  void aResumedRunIsTheUninterruptedOne(String kind) throws IOException {
    var tiny = TinyRun.in(folder);
    tiny.write("harmful.jsonl", questions("sword", "axe", "saw", "trap", "whip"));
    tiny.write("benign.jsonl", questions("bread", "cup", "lamp", "tree", "boat"));
    var settings = settings(kind).toArray(String[]::new);
    var whole = TinyRun.train(tiny.config("whole", settings));

    // The state in which a process leaves its folder that is killed in step 15, while it writes.
    var cut = tiny.output("cut");
    copy(tiny.output("whole"), cut);
    AtomicFolder.delete(cut.resolve("checkpoints/step-20"));
    var half = Files.createDirectory(cut.resolve("checkpoints/.tmp-step-15-999999999-1-0"));
    Files.writeString(half.resolve("trainer_state.json"), "{\"step\": 15}");
    var metrics = cut.resolve("metrics.jsonl");
    var lines = Files.readAllLines(metrics).subList(0, 14);
    Files.write(metrics, lines);
    Files.writeString(metrics, "{\"step\": 15, \"lo", StandardOpenOption.APPEND);

    var resumed = TinyRun.resume(tiny.config("cut", settings));
    assertEquals(20, TinyRun.metrics(cut).size());
    assertEquals(TinyRun.metrics(tiny.output("whole")), TinyRun.metrics(cut));
    var weights = Files.exists(whole.resolve("adapter_config.json")) ? "adapter_model" : "model";
    for (var name : List.of(weights + ".safetensors", "optimizer.safetensors")) {
      assertEquals(TinyRun.bits(whole.resolve(name)), TinyRun.bits(resumed.resolve(name)), name);
    }
    assertNotEquals(
        TinyRun.bits(whole.resolve("optimizer.safetensors")),
        TinyRun.bits(cut.resolve("checkpoints/step-10/optimizer.safetensors")),
        "steps 11 to 20 changed nothing, so this test would see nothing");
  }

  @Test
  void aFinishedRunGoesOnForMoreSteps() {
    var tiny = TinyRun.in(folder);
    var constant = "schedule.decay=constant";
    var whole = TinyRun.train(tiny.config("whole", LORA, constant));
    TinyRun.train(tiny.config("half", LORA, constant, "steps=10"));
    var longer = TinyRun.resume(tiny.config("half", LORA, constant));
    assertEquals(TinyRun.metrics(tiny.output("whole")), TinyRun.metrics(tiny.output("half")));
    assertEquals(
        TinyRun.bits(whole.resolve("adapter_model.safetensors")),
        TinyRun.bits(longer.resolve("adapter_model.safetensors")));
  }

  @Test
  void dropoutIsNotTheSameInEveryStep() {
    var tiny = TinyRun.in(folder);
    // One row, no learning to speak of: what is left of the differences is dropout.
    var one = tiny.write("one.jsonl", List.of("{\"tokens\": [5, 6, 7, 8, 9, 10, 11, 12]}"));
    var settings =
        new String[] {
          "data.train=[" + one + "]",
          "tune={lora: {rank: 4, dropout: 0.5}}",
          "optimizer.lr=1e-3",
          "schedule.warmup_steps=0",
          "steps=4",
        };
    TinyRun.train(tiny.config("with", settings));
    var norms =
        TinyRun.metrics(tiny.output("with")).stream()
            .map(line -> line.replaceAll(".*\"grad_norm\":([^,]*).*", "$1"))
            .distinct()
            .count();
    assertEquals(4, norms);
  }

  @Test
  void whatCannotBeResumedIsRefused() throws IOException {
    var tiny = TinyRun.in(folder);
    var nothing =
        assertThrows(HoldfastException.class, () -> TinyRun.resume(tiny.config("nothing")));
    assertEquals(ExitCode.USAGE, nothing.exitCode());
    assertTrue(nothing.getMessage().contains("holds no checkpoint"), nothing.getMessage());
    assertFalse(Files.exists(tiny.output("nothing")), "a refused run leaves nothing behind");

    TinyRun.train(tiny.config("run", "steps=2"));
    var again = assertThrows(HoldfastException.class, () -> TinyRun.train(tiny.config("run")));
    assertEquals(ExitCode.USAGE, again.exitCode());
    assertTrue(again.getMessage().contains("already holds a run"), again.getMessage());
    assertEquals(2, TinyRun.metrics(tiny.output("run")).size());

    var other =
        assertThrows(HoldfastException.class, () -> TinyRun.resume(tiny.config("run", LORA)));
    assertEquals(ExitCode.INPUT, other.exitCode());
    assertTrue(other.getMessage().contains("step-2"), other.getMessage());
  }

  private static void copy(Path from, Path to) throws IOException {
    try (var files = Files.walk(from)) {
      for (var file : files.toList()) {
        Files.copy(file, to.resolve(from.relativize(file).toString()));
      }
    }
  }
}
