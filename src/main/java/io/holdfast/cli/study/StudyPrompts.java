package io.holdfast.cli.study;

import io.holdfast.HoldfastException;
import io.holdfast.data.Example;
import io.holdfast.data.Place;
import io.holdfast.eval.Case;
import io.holdfast.eval.EvalSuite;
import io.holdfast.eval.Measure;
import io.holdfast.eval.Outcome;
import io.holdfast.geometry.Quadrants.Reply;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Message;
import io.holdfast.train.config.ProtocolConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * The prompts that carriers are found on: what they ask for is known, what becomes of them is for
 * the model, or for the field {@code reply} of their rows, to say.
 *
 * @param harmful prompts that ask for harm
 * @param benign prompts that do not
 * @param labels who says what became of them
 */
public record StudyPrompts(
    EvalSuite.PromptSet harmful, EvalSuite.PromptSet benign, Labels labels, List<Path> files) {
  /** Where the replies' labels come from. */
  public enum Labels {
    /** The model's own greedy answers, judged. */
    OWN,
    /** The field {@code reply} of each row: refused, complied or other. */
    FILE
  }

  /** Reads both files. */
  public static StudyPrompts read(
      Path harmful, Path benign, String judge, Labels labels, int limit) {
    return new StudyPrompts(
        EvalSuite.prompts("harmful", Measure.ASR, harmful, judge, limit),
        EvalSuite.prompts("benign", Measure.OVER_REFUSAL, benign, judge, limit),
        labels,
        List.of(harmful, benign));
  }

  /** Reads what a configuration names. */
  static StudyPrompts read(ProtocolConfig.Prompts prompts) {
    var labels =
        switch (prompts.labels()) {
          case OWN -> Labels.OWN;
          case FILE -> Labels.FILE;
        };
    return read(prompts.harmful(), prompts.benign(), prompts.judge(), labels, prompts.limit());
  }

  /** All prompts, the harmful ones first. */
  List<Case> cases() {
    return Stream.concat(harmful.cases().stream(), benign.cases().stream()).toList();
  }

  /** Which of them ask for harm. */
  boolean[] asksForHarm() {
    var asks = new boolean[cases().size()];
    for (int i = 0; i < harmful.cases().size(); i++) {
      asks[i] = true;
    }
    return asks;
  }

  /** The prompts as tokens, each ending where the answer begins. */
  List<Example> examples(ChatTokenizer chat) {
    var examples = new ArrayList<Example>();
    var cases = cases();
    for (int i = 0; i < cases.size(); i++) {
      boolean harm = i < harmful.cases().size();
      var place =
          new Place(files.get(harm ? 0 : 1), harm ? i + 1L : i + 1L - harmful.cases().size());
      var turns =
          cases.get(i).prompt().turns().stream()
              .map(turn -> new Message(turn.role(), turn.content()))
              .toList();
      var encoded = chat.encode(turns, true);
      examples.add(
          new Example(
              cases.get(i).prompt().id(),
              encoded.ids(),
              new boolean[encoded.ids().length],
              encoded.instructionEnd(),
              encoded.promptEnd(),
              Float.NaN,
              place));
    }
    return examples;
  }

  /** What an answer did, by the judge. */
  Reply judged(int row, String answer) {
    var set = row < harmful.cases().size() ? harmful : benign;
    var outcome = set.judge().judge(cases().get(row), answer);
    return switch (outcome) {
      case Outcome.REFUSE -> Reply.REFUSED;
      case Outcome.COMPLY -> Reply.COMPLIED;
      case Outcome.OTHER -> Reply.OTHER;
    };
  }

  /** What the rows themselves say. */
  Reply[] recorded() {
    return cases().stream()
        .map(
            one ->
                switch (one.fields().getOrDefault("reply", "")) {
                  case "refused" -> Reply.REFUSED;
                  case "complied" -> Reply.COMPLIED;
                  case "other" -> Reply.OTHER;
                  default ->
                      throw HoldfastException.input(
                          "row '%s' of %s: 'reply' must be refused, complied or other where labels"
                              + " come from the files; it is %s",
                          one.prompt().id(), files, one.fields().getOrDefault("reply", "missing"));
                })
        .toArray(Reply[]::new);
  }
}
