package io.holdfast.cli;

import io.holdfast.ExitCode;
import io.holdfast.cli.demo.Demo;
import io.holdfast.train.Progress;
import java.io.PrintWriter;
import picocli.AutoComplete.GenerateCompletion;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** The root command: what all commands share, and the way out of the process. */
@Command(
    name = "holdfast",
    description = "Fine-tunes chat models without losing their refusals.",
    scope = ScopeType.INHERIT,
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    synopsisSubcommandLabel = "COMMAND",
    usageHelpAutoWidth = true,
    subcommands = {
      Demo.class,
      Train.class,
      Validate.class,
      Preview.class,
      Score.class,
      Generate.class,
      Activations.class,
      Tokenize.class,
      Merge.class,
      Eval.class,
      Geometry.class,
      Attack.class,
      Risk.class,
      Report.class,
      Doctor.class,
      Bench.class,
      GenerateCompletion.class
    },
    footerHeading = "%n",
    footer = {
      "Shell completion:  source <(./holdfast generate-completion)",
      "Exit codes: 0 done, 2 usage or configuration, 3 input file, 4 something missing,",
      "5 training stopped itself, 6 a gate was missed, 130 interrupted."
    })
public final class Holdfast implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = {"-q", "--quiet"},
      scope = ScopeType.INHERIT,
      description = "Show no progress.")
  private boolean quiet;

  @Option(
      names = "--verbose",
      scope = ScopeType.INHERIT,
      description = "Show the stack trace of an error.")
  private boolean verbose;

  /** Runs one command and ends the process. */
  public static void main(String[] arguments) {
    var out = new PrintWriter(System.out, true);
    var err = new PrintWriter(System.err, true);
    System.exit(run(out, err, arguments));
  }

  /**
   * Runs one command.
   *
   * @param out for results
   * @param err for everything else
   * @return the exit code of {@link ExitCode}
   */
  public static int run(PrintWriter out, PrintWriter err, String... arguments) {
    var root = new Holdfast();
    var line =
        new CommandLine(root)
            .setOut(out)
            .setErr(err)
            .setCaseInsensitiveEnumValuesAllowed(true)
            .setParameterExceptionHandler((error, _) -> wrongUsage(error))
            .setExecutionExceptionHandler(
                (error, _, _) -> Failure.report(error, err, root.verbose));
    try {
      return line.execute(arguments);
    } catch (Error error) {
      // Picocli handles exceptions; memory that ran out and libraries that fail to load are errors.
      return Failure.report(error, err, root.verbose);
    } finally {
      out.flush();
      err.flush();
    }
  }

  /** How a command of this invocation shows its progress. */
  public Progress.Style progress() {
    return Progress.Style.of(quiet);
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "name a command");
  }

  private static int wrongUsage(ParameterException error) {
    var command = error.getCommandLine();
    var err = command.getErr();
    err.println("holdfast: " + error.getMessage());
    CommandLine.UnmatchedArgumentException.printSuggestions(error, err);
    err.printf("%s --help shows what it takes.%n", command.getCommandSpec().qualifiedName());
    return ExitCode.USAGE.code();
  }
}
