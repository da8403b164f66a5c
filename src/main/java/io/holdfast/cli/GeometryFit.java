package io.holdfast.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.geometry.DirectionSelection.Candidate;
import io.holdfast.geometry.Reading;
import io.holdfast.geometry.TokenPosition;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.guard.SubspaceFit;
import io.holdfast.model.Decoder;
import io.holdfast.report.Table;
import io.holdfast.text.ChatTokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** A safety subspace from contrasting prompts. */
@Command(
    name = "fit",
    description =
        "Fit a safety subspace to the hidden states of contrasting prompts: at each layer the"
            + " difference in means first, then the directions in which harmful prompts differ most"
            + " from the benign mean. The file is what guard.subspace.basis of a training"
            + " configuration names.")
final class GeometryFit implements Runnable {
  private static final ObjectMapper JSON = new ObjectMapper();

  @Spec private CommandSpec spec;
  @ParentCommand private Geometry group;
  @Mixin private ModelOption model;
  @Mixin private ContrastOption contrast;
  @Mixin private SelectionOption selection;
  @Mixin private TrainedDirections trained;
  @Mixin private DeviceOption device;

  @Option(
      names = "--layers",
      paramLabel = "L",
      description =
          "between (every slot between two blocks), all, selected (see --select), or numbers with"
              + " commas between; 0 is the embedding output, -1 the last (default:"
              + " ${DEFAULT-VALUE}).")
  private String layers = "between";

  @Option(
      names = "--positions",
      paramLabel = "P",
      split = ",",
      description =
          "What is read of each prompt, the last counting most: instruction_end, template (each of"
              + " its tokens), prompt_end, response (default: instruction_end,prompt_end).")
  private List<TokenPosition> positions =
      List.of(TokenPosition.INSTRUCTION_END, TokenPosition.PROMPT_END);

  @Option(
      names = "--response-tokens",
      paramLabel = "N",
      description = "Tokens of the answer whose mean is read (default: ${DEFAULT-VALUE}).")
  private int responseTokens = 32;

  /** How directions are found. */
  private enum Method {
    SVD,
    CONE,
    MEAN,
    TRAINED
  }

  @Option(
      names = "--method",
      paramLabel = "M",
      description =
          "svd, cone (directions of differences, however far they go), mean (mean differences"
              + " alone) or trained (by gradient descent on what ablating and adding them does;"
              + " Wollschläger et al. 2025) (default: svd).")
  private Method method = Method.SVD;

  @Option(
      names = "--rank",
      paramLabel = "K",
      description =
          "Directions per layer, at most (default: 16; with --method trained 1, and more are the"
              + " edges of a cone).")
  private Integer rank;

  @Option(
      names = "--energy",
      paramLabel = "SHARE",
      description =
          "Fewer directions where these hold this share of the squared differences, such as 0.9.")
  private double energy = 1;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FILE",
      required = true,
      description = "Where the subspace goes, as safetensors.")
  private Path output;

  @Override
  public void run() {
    device.require();
    check();
    try (var decoder = model.load();
        var chat = ChatTokenizer.load(model.folder())) {
      var classes = contrast.read(decoder, chat, positions.contains(TokenPosition.RESPONSE));
      var readings =
          Reading.of(
              positions,
              Stream.concat(classes.refused().stream(), classes.answered().stream()).toList(),
              responseTokens);
      boolean selects =
          selection.isAsked() || layers.equals("selected") || method == Method.TRAINED;
      var judged =
          selects
              ? Optional.of(selection.judge(decoder, chat, contrast, classes, readings))
              : Optional.<SelectionOption.Judged>empty();
      var means = judged.map(SelectionOption.Judged::candidates).orElse(List.of());
      var out = spec.commandLine().getOut();
      out.print(selects ? SelectionOption.table(means) + "\n" : "");
      var found =
          judged.filter(_ -> method == Method.TRAINED).map(j -> train(decoder, chat, classes, j));
      found.ifPresent(f -> out.print(SelectionOption.table(f.candidates()) + "\n"));
      var refused = selects ? selection.made(classes.refused()) : classes.refused();
      var answered = selects ? selection.made(classes.answered()) : classes.answered();
      var slots = layers(decoder, means);
      var fitted =
          found
              .map(f -> SubspaceFit.layers(decoder, refused, answered, slots, readings, f.basis()))
              .orElseGet(
                  () -> SubspaceFit.layers(decoder, refused, answered, slots, settings(readings)));
      try (var subspace = SafetySubspace.of(fitted, model.hash())) {
        var candidates = new ArrayList<>(means);
        found.ifPresent(f -> candidates.addAll(f.candidates()));
        var about = about(classes, readings, fitted, candidates);
        found.ifPresent(f -> about.set("training", f.about()));
        subspace.save(output, Map.of("fit", about.toString()));
      }
      out.print(table(fitted));
    }
  }

  private TrainedDirections.Found train(
      Decoder decoder,
      ChatTokenizer chat,
      ContrastOption.Contrast classes,
      SelectionOption.Judged judged) {
    return trained.fit(
        decoder,
        chat,
        contrast,
        classes,
        selection,
        judged,
        trained.settings(rank()),
        group.progress());
  }

  private int rank() {
    return rank != null ? rank : method == Method.TRAINED ? 1 : 16;
  }

  private SubspaceFit.Settings settings(List<Reading> readings) {
    var spread = SubspaceFit.Method.valueOf(method.name());
    return new SubspaceFit.Settings(readings, spread, rank(), energy);
  }

  private void check() {
    if (rank() < 1) {
      throw HoldfastException.usage("--rank: must be at least 1, is %d", rank());
    }
    if (method == Method.TRAINED) {
      trained.settings(rank());
      if (energy != 1) {
        throw HoldfastException.usage("--energy: says nothing to --method trained; give --rank");
      }
    } else {
      trained.requireNone();
    }
    if (!(energy > 0 && energy <= 1)) {
      throw HoldfastException.usage("--energy: must be above 0 and at most 1, is %s", energy);
    }
    if (responseTokens < 1) {
      throw HoldfastException.usage("--response-tokens: must be at least 1, is %d", responseTokens);
    }
  }

  private List<Integer> layers(Decoder decoder, List<Candidate> candidates) {
    int depth = decoder.architecture().depth();
    return switch (layers) {
      case "between" -> IntStream.range(1, depth).boxed().toList();
      case "selected" -> SelectionOption.layers(candidates);
      default -> LayerList.parse(layers, depth);
    };
  }

  private ObjectNode about(
      ContrastOption.Contrast classes,
      List<Reading> readings,
      SortedMap<Integer, SubspaceFit.Layer> fitted,
      List<Candidate> candidates) {
    ObjectNode fit = JSON.createObjectNode();
    fit.put("method", method.name().toLowerCase(Locale.ROOT));
    fit.put("data_sha256", classes.hash());
    fit.put("refused", classes.refused().size()).put("answered", classes.answered().size());
    readings.forEach(reading -> fit.withArray("positions").add(reading.name()));
    fitted.forEach(
        (layer, found) ->
            fit.withObject("layers")
                .putObject(String.valueOf(layer))
                .put("energy", found.energy())
                .put("separation", found.separation()));
    if (!candidates.isEmpty()) {
      fit.set("candidates", SelectionOption.json(candidates));
    }
    return fit;
  }

  private static String table(SortedMap<Integer, SubspaceFit.Layer> fitted) {
    var rows = new ArrayList<List<String>>();
    fitted.forEach(
        (layer, found) ->
            rows.add(
                List.of(
                    String.valueOf(layer),
                    String.valueOf(found.basis().rank()),
                    "%.3f".formatted(found.energy()),
                    "%.3f".formatted(found.separation()),
                    "%.3f".formatted(Math.sqrt(found.scale())))));
    return new Table(List.of("layer", "rank", "energy", "separation", "distance"), rows).markdown();
  }
}
