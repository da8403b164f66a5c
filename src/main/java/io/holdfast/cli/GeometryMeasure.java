package io.holdfast.cli;

import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.cli.study.Checkpoint;
import io.holdfast.cli.study.MeasureStudy;
import io.holdfast.cli.study.Observed;
import io.holdfast.cli.study.StudyFiles;
import io.holdfast.geometry.Figure;
import io.holdfast.model.Decoder;
import io.holdfast.report.Table;
import io.holdfast.text.ChatTokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The geometry of one model. */
@Command(
    name = "measure",
    description =
        "Measure where harm and refusal are read, how far they coincide, and, with a reference, how"
            + " far they moved: each number with its bootstrap interval, its null under shuffled"
            + " labels and what chance gives. Coupling is a diagnostic, not a safety score.")
final class GeometryMeasure implements Runnable {
  @Spec private CommandSpec spec;
  @Mixin private ModelOption model;
  @Mixin private StudyOption study;
  @Mixin private MeasureOption measures;
  @Mixin private DeviceOption device;

  @Option(
      names = "--reference",
      paramLabel = "DIR",
      description = "The model that drift is measured from, such as the start of the run.")
  private Path reference;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FILE",
      description = "Everything as JSON, and beside it the figures as CSV.")
  private Path output;

  @Override
  public void run() {
    device.require();
    var prompts = study.read();
    try (var decoder = model.load();
        var chat = ChatTokenizer.load(model.folder());
        var before = reference == null ? null : Decoder.load(reference)) {
      if (before != null) {
        Checkpoint.requireAlike(model.folder(), decoder, reference.toString(), before);
      }
      var score = study.score(decoder.architecture().vocabulary());
      var start =
          Optional.ofNullable(before)
              .map(
                  m ->
                      new MeasureStudy.Reference(
                          m,
                          Observed.of(
                              m, chat, prompts, Optional.empty(), score, study.maxNewTokens())));
      var observed =
          Observed.of(
              decoder,
              chat,
              prompts,
              start.map(MeasureStudy.Reference::observed),
              score,
              study.maxNewTokens());
      var result =
          measures
              .study(chat, study.seed(), study.maxNewTokens())
              .measure(decoder, chat, observed, start);
      var out = spec.commandLine().getOut();
      out.print(table(result.figures()).markdown());
      result.flags().forEach(flag -> out.println("note: " + flag));
      if (output != null) {
        var json = StudyFiles.object().put("model", model.folder().toString());
        json.put("model_sha256", model.hash());
        json.setAll(result.json());
        AtomicFile.write(output, json.toPrettyString() + "\n");
        AtomicFile.write(
            StudyFiles.csvBeside(output), StudyFiles.figuresCsv("model", List.of(json)));
      }
    }
  }

  private static Table table(List<Figure> figures) {
    return new Table(
        List.of("measure", "layer", "value", "low", "high", "null", "p", "chance"),
        figures.stream()
            .map(
                f ->
                    List.of(
                        f.measure(),
                        f.layer() == Figure.NO_LAYER ? "" : String.valueOf(f.layer()),
                        number(f.value()),
                        number(f.estimate().low()),
                        number(f.estimate().high()),
                        number(f.nullMean()),
                        number(f.p()),
                        number(f.chance())))
            .toList());
  }

  private static String number(double value) {
    return Double.isFinite(value) ? String.format(Locale.ROOT, "%.4g", value) : "";
  }
}
