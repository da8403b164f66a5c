package io.holdfast.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.eval.EvalSuite;
import io.holdfast.eval.EvalSuite.PromptSet;
import io.holdfast.eval.GateExpression;
import io.holdfast.eval.SuiteReport;
import io.holdfast.report.Table;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.Progress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** Asks a model the prompts of a suite. */
@Command(
    name = "eval",
    description = {
      "Ask a model the prompts of a suite, judge its answers, and check the suite's gates.",
      "Answers are greedy. The report is JSON, on stdout or in a file; a table goes to stderr."
    })
final class Eval implements Runnable {
  private static final ObjectMapper JSON = new ObjectMapper();

  @Spec private CommandSpec spec;
  @ParentCommand private Holdfast root;
  @Mixin private ModelOption model;
  @Mixin private DeviceOption device;

  @Option(
      names = {"-s", "--suite"},
      paramLabel = "FILE",
      required = true,
      description = "Prompt files with what each measures and who judges: a YAML file.")
  private Path suiteFile;

  @Option(
      names = "--fail-if",
      paramLabel = "GATE",
      description =
          "End with exit code 6 when this holds of the report, such as 'asr>0.05'; may be"
              + " repeated, and adds to the suite's own gates. The report is written all the same.")
  private List<String> failIf = List.of();

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FILE",
      description = "Where the report goes; stdout if not given.")
  private Path output;

  @Option(
      names = "--answers",
      paramLabel = "FILE.jsonl",
      description = "Also write every answer with what the judge made of it.")
  private Path answersFile;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      description = "Prompts at a time (default: ${DEFAULT-VALUE}).")
  private int batchSize = 16;

  /** A suite's answers, in its order, with their report. */
  private record Evaluated(List<String> answers, SuiteReport report) {}

  @Override
  public void run() {
    device.require();
    if (batchSize < 1) {
      throw HoldfastException.usage("--batch-size is at least 1");
    }
    var suite = EvalSuite.load(suiteFile).gatedBy(failIf);
    var evaluated = evaluated(suite);
    var json = json(suite, evaluated.report());
    if (answersFile != null) {
      OutputOption.writeLines(answersFile, lines(suite, evaluated));
    }
    if (root.progress() != Progress.Style.NONE) {
      spec.commandLine().getErr().print(table(suite, evaluated.report()).markdown());
    }
    if (output == null) {
      spec.commandLine().getOut().println(json.toPrettyString());
    } else {
      AtomicFile.write(output, json.toPrettyString() + "\n");
    }
    GateExpression.requirePassed(
        suite.gates(), evaluated.report().metrics(), "the report is written");
  }

  private Evaluated evaluated(EvalSuite suite) {
    var kept = new ArrayList<String>();
    try (var decoder = model.load();
        var chat = ChatTokenizer.load(model.folder())) {
      var answers = new Answers(decoder, chat, suite.maxNewTokens(), batchSize);
      requireFit(suite, answers);
      int prompts = suite.sets().stream().mapToInt(set -> set.cases().size()).sum();
      try (var progress = Progress.start("eval", prompts, root.progress())) {
        var report =
            suite.run(
                asked -> {
                  kept.addAll(answers.respond(asked, done -> progress.at(done, "")));
                  return kept;
                });
        return new Evaluated(kept, report);
      }
    }
  }

  private static void requireFit(EvalSuite suite, Answers answers) {
    int most = answers.model().architecture().maxPositions();
    for (var set : suite.sets()) {
      for (var asked : set.cases()) {
        int length = answers.ids(asked.prompt()).length;
        if (length >= most) {
          throw HoldfastException.input(
              "set '%s', prompt %s: has %d tokens, the model was made for %d"
                  + " (max_position_embeddings) and an answer needs some; shorten it",
              set.name(), asked.prompt().id(), length, most);
        }
      }
    }
  }

  private ObjectNode json(EvalSuite suite, SuiteReport report) {
    var json = JsonNodeFactory.instance.objectNode();
    json.put("model", model.folder().toString()).put("model_sha256", model.hash());
    model.adapter().ifPresent(folder -> json.put("adapter", folder.toString()));
    json.put("suite", suiteFile.toString()).put("max_new_tokens", suite.maxNewTokens());
    json.setAll(SuiteEvaluator.json(suite, report));
    return json;
  }

  private static List<ObjectNode> lines(EvalSuite suite, Evaluated evaluated) {
    var answers = evaluated.answers().iterator();
    var lines = new ArrayList<ObjectNode>();
    for (var set : suite.sets()) {
      var outcomes = evaluated.report().sets().get(set.name()).outcomes().iterator();
      for (var asked : set.cases()) {
        var line = JsonNodeFactory.instance.objectNode();
        line.put("set", set.name()).put("id", asked.prompt().id());
        line.set("messages", JSON.valueToTree(asked.prompt().turns()));
        line.put("answer", answers.next()).put("outcome", outcomes.next().id());
        lines.add(line);
      }
    }
    return lines;
  }

  private static Table table(EvalSuite suite, SuiteReport report) {
    return new Table(
        List.of("set", "measure", "judge", "n", "% [95 %]", "comply", "refuse", "other"),
        suite.sets().stream().map(set -> row(set, report)).toList());
  }

  private static List<String> row(PromptSet set, SuiteReport report) {
    var tally = report.sets().get(set.name()).tally();
    return List.of(
        set.name(),
        set.measure().id(),
        set.judgeName(),
        number(tally.n()),
        set.measure().of(tally).toString(),
        number(tally.comply()),
        number(tally.refuse()),
        number(tally.other()));
  }

  private static String number(int count) {
    return String.format(Locale.ROOT, "%,d", count);
  }
}
