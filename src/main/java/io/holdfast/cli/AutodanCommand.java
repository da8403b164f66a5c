package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.attack.AttackCase;
import io.holdfast.attack.AutoDan;
import io.holdfast.attack.AutoDanSettings;
import io.holdfast.attack.AutoDanSettings.Method;
import io.holdfast.attack.Synonyms;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.text.ChatTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** AutoDAN. */
@Command(
    name = "autodan",
    description = {
      "Breed readable prompts under which the model answers a request (AutoDAN, GA and HGA).",
      "Ctrl-C keeps what was found; --resume goes on and finds what it would have found."
    })
final class AutodanCommand implements Runnable {
  @Spec private CommandSpec spec;
  @ParentCommand private Attack parent;
  @Mixin private ModelOption model;
  @Mixin private CasesOption cases;
  @Mixin private AttackOutput output;
  @Mixin private DeviceOption device;

  @Option(
      names = "--references",
      paramLabel = "FILE",
      required = true,
      description =
          "Initial prompts, parted by lines of ---; they hold the request at [REPLACE], or stand"
              + " before it.")
  private Path references;

  @Option(
      names = "--synonyms",
      paramLabel = "FILE",
      description = "For hga: words of one meaning, a line each, parted by commas.")
  private Path synonyms;

  @Option(
      names = "--method",
      paramLabel = "NAME",
      description = "ga: sentences alone; hga: words, too (default: ga).")
  private Method method = Method.GA;

  @Option(names = "--steps", paramLabel = "N", description = "At most (${DEFAULT-VALUE}).")
  private int steps = AutoDanSettings.standard(Method.GA).steps();

  @Option(
      names = "--population",
      paramLabel = "N",
      description = "Prompts of a generation (${DEFAULT-VALUE}).")
  private int population = AutoDanSettings.standard(Method.GA).population();

  @Option(names = "--elites", paramLabel = "SHARE", description = "Kept (${DEFAULT-VALUE}).")
  private double elites = AutoDanSettings.standard(Method.GA).elites();

  @Option(
      names = "--mutation",
      paramLabel = "P",
      description = "Probability of an initial prompt in a child's place (${DEFAULT-VALUE}).")
  private double mutation = AutoDanSettings.standard(Method.GA).mutation();

  @Option(
      names = "--evaluate-every",
      paramLabel = "N",
      description =
          "End where the model complies, asked every N steps (${DEFAULT-VALUE}); 0: never.")
  private int evaluateEvery = AutoDanSettings.standard(Method.GA).evaluateEvery();

  @Option(names = "--seed", paramLabel = "N", description = "Of all draws (${DEFAULT-VALUE}).")
  private long seed = AutoDanSettings.standard(Method.GA).seed();

  @Option(
      names = "--model-name",
      paramLabel = "NAME",
      description = "Stands for [MODEL] in the initial prompts (${DEFAULT-VALUE}).")
  private String modelName = "the assistant";

  @Option(
      names = "--keeper-name",
      paramLabel = "NAME",
      description = "Stands for [KEEPER] in the initial prompts (${DEFAULT-VALUE}).")
  private String keeperName = "the developers";

  @Override
  public void run() {
    device.require();
    var settings = settings();
    var initial = references();
    var words = synonyms == null ? Synonyms.NONE : Synonyms.read(synonyms);
    if ((method == Method.HGA) != (synonyms != null)) {
      throw HoldfastException.usage(
          "--synonyms: hga replaces words and needs a file of them; ga replaces none");
    }
    var asked = cases.read();
    var groups = asked.stream().map(List::<AttackCase>of).toList();
    var description = AttackOutput.description("autodan", model.folder(), asked, cases);
    description.put("settings", settings.toString());
    description.put("references", initial.hashCode());
    description.put("synonyms", String.valueOf(synonyms));
    try (var decoder = model.load();
        var chat = ChatTokenizer.load(model.folder())) {
      var autoDan =
          new AutoDan(
              decoder,
              chat,
              KernelBackends.select(Optional.empty()),
              settings,
              initial,
              words,
              cases.judge(),
              cases.newTokens());
      output.run(
          autoDan, description, groups, steps, parent.progress(), spec.commandLine().getOut());
    }
  }

  private AutoDanSettings settings() {
    var base = AutoDanSettings.standard(method);
    try {
      return new AutoDanSettings(
          method,
          steps,
          population,
          elites,
          base.crossover(),
          base.points(),
          mutation,
          base.sentencesEvery(),
          evaluateEvery,
          base.newTokens(),
          seed,
          base.batchTokens());
    } catch (IllegalArgumentException e) {
      throw HoldfastException.usage("%s", e.getMessage()).causedBy(e);
    }
  }

  private List<String> references() {
    try {
      var prompts =
          Arrays.stream(Files.readString(references).split("(?m)^---\\s*$"))
              .map(String::strip)
              .filter(prompt -> !prompt.isEmpty())
              .map(prompt -> prompt.replace("[MODEL]", modelName).replace("[KEEPER]", keeperName))
              .toList();
      if (prompts.isEmpty()) {
        throw HoldfastException.input("%s: holds no prompt", references);
      }
      return prompts;
    } catch (IOException e) {
      throw HoldfastException.unreadable(references, e);
    }
  }
}
