package io.holdfast.train;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.data.Example;
import io.holdfast.data.ExampleReader;
import io.holdfast.data.Examples;
import io.holdfast.guard.Guard;
import io.holdfast.kernels.Kernels;
import io.holdfast.risk.RowRisks;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.torch.ComputeDevice;
import io.holdfast.torch.LibTorch;
import io.holdfast.torch.Threads;
import io.holdfast.train.config.GuardConfig;
import io.holdfast.train.config.GuardConfig.Direction;
import io.holdfast.train.config.Method;
import io.holdfast.train.config.TrainConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * Puts a run together, and closes what it is made of in the right order.
 *
 * @param read the rows it learns
 * @param dataHash of their files
 */
record RunAssembly(
    TrainConfig config,
    Kernels kernels,
    ChatTokenizer chat,
    ExampleReader.Result read,
    String dataHash) {
  private static final ObjectMapper JSON = new ObjectMapper();

  /**
   * A run that is ready for its next step.
   *
   * @param guards saved beside the model
   */
  record Assembled(
      TunedModel model,
      String modelHash,
      List<Example> examples,
      Trainer trainer,
      Adamw optimizer,
      List<Guard> guards,
      Checkpoints checkpoints,
      RunFolder folder) {
    /**
     * Writes a checkpoint.
     *
     * @param interim whether the next one takes its place
     */
    Path save(boolean interim) {
      return checkpoints.save(saved(), optimizer, trainer.state(), interim);
    }

    private GuardedModel saved() {
      return new GuardedModel(model, guards);
    }

    void shownTo(Watch watch) {
      watch.look(trainer, model, optimizer, folder);
    }

    private void goOnFrom(Path checkpoint) {
      trainer.resume(Checkpoints.restore(checkpoint, saved(), optimizer));
    }
  }

  /**
   * Does something with the run, at its start or where a checkpoint has left it.
   *
   * @param from the checkpoint
   */
  <T> T with(Optional<Path> from, Progress.Style style, Function<Assembled, T> course) {
    var modelHash = modelHash(config.model());
    try (var model = TunedModel.of(config, modelHash)) {
      requireKnownTokens(model.decoder().architecture().vocabulary());
      var folder =
          from.map(path -> Checkpoints.state(path).get("step").asLong())
              .map(step -> RunFolder.resume(config, step))
              .orElseGet(() -> RunFolder.create(config));
      return with(model, modelHash, folder, from, style, course);
    }
  }

  private <T> T with(
      TunedModel model,
      String modelHash,
      RunFolder folder,
      Optional<Path> from,
      Progress.Style style,
      Function<Assembled, T> course) {
    var reference = model.reference();
    var assembly =
        new GuardAssembly(
            config.guard(),
            reference.decoder(),
            modelHash,
            TrainingData.prompts(config, chat),
            kernels,
            GuardAssembly.folder(folder.path()),
            config.batchSize(),
            config.seed());
    var anchors = assembly.anchors();
    try (var risk = RiskAssembly.of(config, modelHash, model, chat.tokenizer(), style)) {
      var rows = risk.rows(read.examples());
      var kept = new ReferenceFiles(config, reference, modelHash, dataHash);
      var guards = new ArrayList<>(assembly.guards(rows, anchors, dataHash));
      kept.tokenConstraint(rows).ifPresent(guards::add);
      if (config.method() instanceof Method.R2d2 r2d2) {
        guards.add(new R2d2(r2d2, chat, kernels, config.seed()));
      }
      var windows = Windows.of(config, rows, Examples.lengths(read.examples()));
      int steps = config.totalSteps(windows.stepsPerEpoch());
      folder.describe(config, manifest(modelHash, guards, risk, anchors.size(), steps));
      try (var states = kept.states(rows, anchors);
          var optimizer = new Adamw(kernels, adamw(), model.parameters(), model.rounded())) {
        var trainer =
            trainer(model, windows, optimizer, guards, risk.flow(), states, anchors, steps);
        var checkpoints = new Checkpoints(config.output(), config.checkpoint().keep());
        var run =
            new Assembled(
                model, modelHash, read.examples(), trainer, optimizer, guards, checkpoints, folder);
        from.ifPresent(run::goOnFrom);
        return course.apply(run);
      } finally {
        guards.forEach(Guard::close);
      }
    }
  }

  private void requireKnownTokens(int vocabulary) {
    for (var example : read.examples()) {
      for (int id : example.ids()) {
        if (id >= vocabulary) {
          throw HoldfastException.input(
              "%s: token %d, but the model's vocabulary ends at %d; the row was tokenized for"
                  + " another model, or tokenizer.json is not this model's",
              example.place(), id, vocabulary - 1);
        }
      }
    }
  }

  private Trainer trainer(
      TunedModel model,
      Windows windows,
      Adamw optimizer,
      List<Guard> guards,
      RowRisks risks,
      ReferenceStates reference,
      List<Example> anchors,
      int steps) {
    int anchorBatch =
        config
            .guard()
            .subspace()
            .flatMap(GuardConfig.Subspace::anchorBatch)
            .orElse(config.batchSize());
    int pad = chat.tokenizer().endOfText().isEmpty() ? 0 : chat.tokenizer().endOfText().first();
    var direction =
        switch (config.guard().kl().map(GuardConfig.Kl::direction).orElse(Direction.FORWARD)) {
          case FORWARD -> Kernels.KlDirection.FORWARD;
          case REVERSE -> Kernels.KlDirection.REVERSE;
        };
    return new Trainer(
        new Trainer.Plan(
            steps,
            config.clipNorm(),
            anchorBatch,
            pad,
            config.seed(),
            config.activationCheckpointing(),
            config.labelSmoothing()),
        model.decoder(),
        windows,
        new Schedule(
            config.optimizer().lr(),
            config.schedule().warmupSteps(),
            steps,
            config.schedule().decay()),
        optimizer,
        guards,
        risks,
        reference,
        direction,
        anchors,
        kernels);
  }

  private Adamw.Settings adamw() {
    var optimizer = config.optimizer();
    return new Adamw.Settings(
        optimizer.betas().get(0),
        optimizer.betas().get(1),
        optimizer.eps(),
        optimizer.weightDecay());
  }

  private ObjectNode manifest(
      String modelHash, List<Guard> guards, RiskAssembly risk, int anchors, int steps) {
    var manifest = JSON.createObjectNode();
    manifest.put("holdfast", TrainingData.version());
    manifest.put("java", Runtime.version().toString());
    manifest.put("device", ComputeDevice.current().name());
    manifest.put("kernels", kernels.name());
    manifest.put("blas", LibTorch.BLAS);
    manifest.put("threads", Threads.get());
    manifest.put("model_sha256", modelHash);
    manifest.put("data_sha256", dataHash);
    manifest.put("examples", read.examples().size());
    manifest.put("anchors", anchors);
    manifest.put("steps", steps);
    manifest.put("seed", config.seed());
    read.examples().stream()
        .filter(example -> example.instructionEnd() >= 0)
        .findFirst()
        .ifPresent(
            example ->
                manifest.put(
                    "template_suffix_tokens", example.promptEnd() - example.instructionEnd()));
    var formulas = manifest.putArray("guards");
    guards.forEach(guard -> formulas.add(guard.name()));
    risk.name().ifPresent(name -> manifest.put("risk", name));
    return manifest;
  }

  private static String modelHash(Path folder) {
    try (var files = ModelFolder.open(folder)) {
      return files.hash();
    }
  }
}
