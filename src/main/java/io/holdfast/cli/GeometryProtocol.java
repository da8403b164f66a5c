package io.holdfast.cli;

import io.holdfast.cli.study.Protocol;
import io.holdfast.train.Progress;
import io.holdfast.train.config.ProtocolConfig;
import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** A whole study as one configuration says. */
@Command(
    name = "protocol",
    description =
        "Run a whole study: train regimes, measure their checkpoints beside the reference, remove"
            + " and add carriers, replay attack strings; write results.json, results.csv,"
            + " report.html, plots/. What was interrupted goes on where it stopped. Made to test"
            + " models that you own.")
final class GeometryProtocol implements Runnable {
  @Spec private CommandSpec spec;
  @ParentCommand private Geometry group;
  @Mixin private DeviceOption device;

  @Parameters(index = "0", paramLabel = "CONFIG.yaml", description = "The study's configuration.")
  private Path file;

  @Override
  public void run() {
    device.require();
    var config = ProtocolConfig.load(file);
    var style = group.progress();
    new Protocol(
            config,
            SuiteEvaluator.LOADER,
            style,
            text -> {
              if (style != Progress.Style.NONE) {
                spec.commandLine().getErr().println(text);
              }
            })
        .run();
    for (var name : new String[] {"results.json", "results.csv", "report.html"}) {
      spec.commandLine().getOut().println(config.output().resolve(name));
    }
  }
}
