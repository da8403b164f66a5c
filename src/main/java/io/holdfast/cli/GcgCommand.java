package io.holdfast.cli;

import io.holdfast.attack.AttackCase;
import io.holdfast.attack.Gcg;
import io.holdfast.attack.GcgMethod;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.torch.ComputeDevice;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** Greedy coordinate gradient. */
@Command(
    name = "gcg",
    description = {
      "Search for strings which, put behind a request, make the model answer it (GCG, as nanoGCG).",
      "Ctrl-C keeps what was found; --resume goes on and finds what it would have found."
    })
final class GcgCommand implements Runnable {
  @Spec private CommandSpec spec;
  @ParentCommand private Attack parent;
  @Mixin private ModelOption model;
  @Mixin private CasesOption cases;
  @Mixin private AttackOutput output;
  @Mixin private GcgOptions options;
  @Mixin private DeviceOption device;

  @Option(
      names = "--universal",
      description = "One string for all requests together, instead of one for each.")
  private boolean universal;

  @Option(
      names = "--draft",
      paramLabel = "DIR",
      description = "Screen candidates by this smaller model (probe sampling).")
  private Path draft;

  @Override
  public void run() {
    device.require();
    var settings = options.settings(draft != null);
    var asked = cases.read();
    var groups = universal ? List.of(asked) : asked.stream().map(List::<AttackCase>of).toList();
    var description = AttackOutput.description("gcg", model.folder(), asked, cases);
    description.put("settings", settings.toString());
    description.put("universal", universal);
    description.put("draft", String.valueOf(draft));
    try (var decoder = model.load();
        var chat = ChatTokenizer.load(model.folder());
        var smaller = draft == null ? null : Decoder.loadAsStored(draft);
        var smallerChat = draft == null ? null : ChatTokenizer.load(draft);
        var gcg =
            new Gcg(
                decoder,
                chat,
                ComputeDevice.current().kernels(),
                settings,
                cases.judge(),
                Optional.ofNullable(smaller).map(some -> new Gcg.Draft(some, smallerChat)))) {
      output.run(
          new GcgMethod(gcg, cases.judge(), cases.newTokens()),
          description,
          groups,
          settings.steps(),
          parent.progress(),
          spec.commandLine().getOut());
    }
  }
}
