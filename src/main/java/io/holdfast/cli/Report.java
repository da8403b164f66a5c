package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.report.RunLog;
import io.holdfast.report.RunsReport;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Runs beside one another. */
@Command(
    name = "report",
    description =
        "Show runs beside one another: tables here, and a page with curves, whose numbers are in a"
            + " CSV file beside it.")
final class Report implements Runnable {
  @Spec private CommandSpec spec;

  @Parameters(arity = "1..*", paramLabel = "RUN", description = "Folders of runs.")
  private List<Path> runs;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FILE.html",
      description = "The page (default: report.html in the first run's folder).")
  private Path output;

  @Override
  public void run() {
    var page = output == null ? runs.getFirst().resolve("report.html") : output;
    if (!page.toString().endsWith(".html")) {
      throw HoldfastException.usage("--output %s: the page is HTML; name a .html file", page);
    }
    var report = RunsReport.of(runs.stream().map(RunLog::read).toList());
    AtomicFile.write(page, report.page().html());
    var numbers = Path.of(page.toString().replaceFirst("\\.html$", ".csv"));
    AtomicFile.write(numbers, report.csv());
    var out = spec.commandLine().getOut();
    out.print(report.summary().markdown());
    report.differences().ifPresent(table -> out.print("\n" + table.markdown()));
    out.printf("%nreport:  %s%nnumbers: %s%n", page, numbers);
  }
}
