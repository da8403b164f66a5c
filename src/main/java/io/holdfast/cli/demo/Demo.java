package io.holdfast.cli.demo;

import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.cli.Holdfast;
import io.holdfast.report.DemoPage;
import io.holdfast.train.Progress;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** The whole story on the embedded world. */
@Command(
    name = "demo",
    description = {
      "Fine-tune a small aligned model on poisoned data, plainly and under guards, and compare.",
      "Takes about three minutes on two cores; a second run reuses what is unchanged."
    })
public final class Demo implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--out",
      paramLabel = "DIR",
      description = "Where everything goes (default: ${DEFAULT-VALUE}).")
  private Path out = Path.of("holdfast-demo");

  @Option(names = "--seed", description = "Seed of the data (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--from-scratch",
      description = "Train the aligned base first, instead of using the one that comes along.")
  private boolean fromScratch;

  @Option(
      names = "--base-only",
      description = "Only write the data and the aligned base, for studies of one's own.")
  private boolean baseOnly;

  @ParentCommand private Holdfast root;

  @Override
  public void run() {
    var err = spec.commandLine().getErr();
    var style = root.progress();
    var recipe =
        fromScratch ? Optional.of(BaseModel.Recipe.STANDARD) : Optional.<BaseModel.Recipe>empty();
    var story =
        new Story(
            out,
            seed,
            recipe,
            style,
            text -> {
              if (style != Progress.Style.NONE) {
                err.println(text);
              }
            });
    if (baseOnly) {
      story.begin();
      return;
    }
    var summary = story.tell();
    AtomicFile.write(out.resolve("summary.json"), summary.json().toPrettyString() + "\n");
    AtomicFile.write(out.resolve("report.html"), DemoPage.html(summary));
    var stdout = spec.commandLine().getOut();
    stdout.print(summary.table());
    stdout.printf(
        "%nsummary: %s%nreport:  %s%n", out.resolve("summary.json"), out.resolve("report.html"));
  }
}
