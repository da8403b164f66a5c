package io.holdfast.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.cli.study.FittedDirections;
import io.holdfast.cli.study.InterventionStudy;
import io.holdfast.cli.study.Observed;
import io.holdfast.cli.study.StudyFiles;
import io.holdfast.eval.EvalSuite;
import io.holdfast.geometry.OrthogonalWeights;
import io.holdfast.geometry.RefusalTrial.Limits;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** What removing and adding carriers does to a model's answers. */
@Command(
    name = "intervene",
    description =
        "Remove and add the refusal carrier while the model answers a suite, beside controls:"
            + " random directions, the same change along them, the wrong layer, the wrong position."
            + " Made to test models that you own.")
final class GeometryIntervene implements Runnable {
  @Spec private CommandSpec spec;
  @ParentCommand private Geometry group;
  @Mixin private ModelOption model;
  @Mixin private StudyOption study;
  @Mixin private DeviceOption device;

  @Option(
      names = "--suite",
      paramLabel = "FILE",
      required = true,
      description = "The suite that effects are measured with.")
  private Path suite;

  @Option(
      names = "--basis",
      paramLabel = "FILE",
      description =
          "Directions of this model that geometry fit wrote, instead of the carriers that the"
              + " prompts show: all of a layer's are ablated, the first is added.")
  private Path basis;

  @Option(
      names = "--layer",
      paramLabel = "N",
      description =
          "With --basis: the layer whose directions are taken (default: chosen among those of the"
              + " file; trained ones have but one).")
  private Integer layer;

  @Option(
      names = "--vector",
      paramLabel = "N",
      description =
          "With --basis: the N-th direction alone, such as one edge of a cone, ablated and added.")
  private Integer vector;

  @Option(
      names = "--deepest",
      paramLabel = "SHARE",
      description =
          "Carriers are taken from the blocks before this share of the depth (default:"
              + " ${DEFAULT-VALUE}).")
  private double deepest = Limits.PAPER.depth();

  @Option(
      names = "--max-kl",
      paramLabel = "NATS",
      description =
          "What a removal may change in the next token of benign prompts (default:"
              + " ${DEFAULT-VALUE}).")
  private double maxKl = Limits.PAPER.divergence();

  @Option(
      names = "--random",
      paramLabel = "N",
      description = "Random directions a control (default: ${DEFAULT-VALUE}).")
  private int random = 3;

  @Option(
      names = "--coefficients",
      paramLabel = "C",
      split = ",",
      description = "Doses of additions (default: 0.5,1,1.5,2).")
  private List<Double> coefficients = List.of(0.5, 1.0, 1.5, 2.0);

  @Option(names = "--sweep-layers", description = "Try both at every layer.")
  private boolean sweepLayers;

  @Option(
      names = "--inversion",
      paramLabel = "C",
      description =
          "Also ask the model what it thinks of the prompts while C times each carrier is added"
              + " (reply inversion; 2 is usual).")
  private Double inversion;

  @Option(
      names = "--export",
      paramLabel = "DIR",
      description =
          "Write the model whose weights cannot write along the refusal carrier, or the directions"
              + " of --basis, as a Hugging Face folder.")
  private Path export;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FILE",
      description = "Everything as JSON, and beside it the effects as CSV.")
  private Path output;

  @Override
  public void run() {
    device.require();
    if (!(deepest > 0 && deepest <= 1) || !(maxKl > 0) || random < 1) {
      throw HoldfastException.usage(
          "--deepest is a share in (0, 1], --max-kl positive, --random at least 1");
    }
    if (basis != null && inversion != null) {
      throw HoldfastException.usage(
          "--inversion: compares the carriers that prompts show; leave it out, or --basis");
    }
    if (basis == null && (layer != null || vector != null)) {
      throw HoldfastException.usage("%s: is for --basis", layer != null ? "--layer" : "--vector");
    }
    var prompts = study.read();
    var settings =
        new InterventionStudy.Settings(
            new Limits(maxKl, Limits.PAPER.induce(), deepest),
            random,
            coefficients,
            sweepLayers,
            Optional.ofNullable(inversion),
            study.seed());
    var cases = EvalSuite.load(suite);
    try (var decoder = model.load();
        var chat = ChatTokenizer.load(model.folder())) {
      var work = new InterventionStudy(cases, settings, fitted(decoder));
      var observed =
          Observed.of(
              decoder,
              chat,
              prompts,
              Optional.empty(),
              study.score(decoder.architecture().vocabulary()),
              study.maxNewTokens());
      var result = work.run(decoder, chat, prompts, observed, group.progress());
      if (export != null) {
        try (var weights = new OrthogonalWeights(decoder, result.removed())) {
          weights.save(export, model.folder());
        }
      }
      var out = spec.commandLine().getOut();
      out.print(result.effects().markdown());
      result.flags().forEach(flag -> out.println("note: " + flag));
      if (output != null) {
        save(result.json());
      }
    }
  }

  private Optional<FittedDirections> fitted(Decoder decoder) {
    int depth = decoder.architecture().depth();
    var part = new FittedDirections.Part(Optional.ofNullable(layer), Optional.ofNullable(vector));
    return Optional.ofNullable(basis)
        .map(file -> FittedDirections.read(file, model.hash(), depth, part));
  }

  private void save(ObjectNode json) {
    AtomicFile.write(output, json.toPrettyString() + "\n");
    AtomicFile.write(StudyFiles.csvBeside(output), StudyFiles.effects(json));
  }
}
