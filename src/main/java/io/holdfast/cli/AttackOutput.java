package io.holdfast.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.attack.AttackCase;
import io.holdfast.attack.AttackRun;
import io.holdfast.attack.Found;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.eval.Outcome;
import io.holdfast.eval.Tally;
import io.holdfast.train.Interrupt;
import io.holdfast.train.Progress;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Option;

/** The folder of an attack, and how it is gone through. */
final class AttackOutput {
  @Option(
      names = {"-o", "--output"},
      paramLabel = "DIR",
      required = true,
      description = "Where results go: test_cases.json in HarmBench's form, cases/, summary.json.")
  private Path folder;

  @Option(names = "--resume", description = "Go on with the attack of this folder.")
  private boolean resume;

  @Option(
      names = "--save-every",
      paramLabel = "N",
      description = "Steps between two saved states (default: ${DEFAULT-VALUE}).")
  private int saveEvery = 10;

  /**
   * Runs an attack to its end, or until Ctrl-C.
   *
   * @param steps of one group
   */
  <S> void run(
      AttackRun.Method<S> method,
      ObjectNode description,
      List<List<AttackCase>> groups,
      int steps,
      Progress.Style style,
      PrintWriter out) {
    if (saveEvery < 1) {
      throw HoldfastException.usage("--save-every is at least 1");
    }
    var run = AttackRun.in(folder, description, resume, saveEvery, method);
    List<Found> found;
    try (var interrupt = Interrupt.watch();
        var progress = Progress.start("attack", (long) groups.size() * steps, style)) {
      found =
          run.run(
              groups,
              interrupt::requested,
              (group, step, loss) ->
                  progress.at(
                      (long) group * steps + step,
                      "case %d of %d, loss %.4f".formatted(group + 1, groups.size(), loss)));
    }
    var outcomes = Tally.of(found.stream().map(Found::outcome).toList());
    out.printf(
        "attack success %s of %d: %s%n",
        outcomes.rate(Outcome.COMPLY), outcomes.n(), folder.resolve("test_cases.json"));
    method.time().ifPresent(time -> out.println("time: " + time));
  }

  /** What every attack's results depend on. */
  static ObjectNode description(
      String attack, Path model, List<AttackCase> cases, CasesOption option) {
    var description = JsonNodeFactory.instance.objectNode();
    description.put("attack", attack);
    description.put("model", model.toString());
    try (var files = ModelFolder.open(model)) {
      description.put("model_sha256", files.hash());
    }
    description.put("judge", option.judgeName());
    description.put("max_new_tokens", option.newTokens());
    var ids = description.putArray("cases");
    cases.forEach(one -> ids.add(one.id()));
    description.put("requests", cases.stream().map(AttackCase::request).toList().hashCode());
    description.put("targets", cases.stream().map(AttackCase::target).toList().hashCode());
    return description;
  }
}
