package io.holdfast.attack;

import io.holdfast.HoldfastException;
import io.holdfast.eval.Judge;
import io.holdfast.eval.Outcome;
import io.holdfast.eval.Tally;
import io.holdfast.model.Decoder;
import io.holdfast.model.Generation;
import io.holdfast.model.Generator;
import io.holdfast.model.Tap;
import io.holdfast.text.ChatTokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Test cases sent to a model as text, whatever model they were found on.
 *
 * @param judge of the answers
 * @param newTokens length of an answer, at most
 * @param batch prompts decoded together
 */
public record Replay(Judge judge, int newTokens, int batch) {
  /** A test case, the model's answer to it, and what the judge says. */
  public record Answer(String id, String testCase, String text, Outcome outcome) {}

  /**
   * Answers to all test cases of the cases, in the order of the cases.
   *
   * @param testCases by case; a case without any is left out
   * @throws HoldfastException if a test case belongs to no case, or none of them has any
   */
  public List<Answer> answers(
      Decoder model,
      ChatTokenizer chat,
      List<AttackCase> cases,
      Map<String, List<String>> testCases) {
    var known = cases.stream().map(AttackCase::id).toList();
    testCases.keySet().stream()
        .filter(id -> !known.contains(id))
        .findFirst()
        .ifPresent(
            id -> {
              throw HoldfastException.input(
                  "test case %s belongs to none of the %d cases; give the file of cases that it was"
                      + " found for",
                  id, cases.size());
            });
    var asked = new ArrayList<AttackCase>();
    var texts = new ArrayList<String>();
    for (var one : cases) {
      for (var text : testCases.getOrDefault(one.id(), List.of())) {
        asked.add(one);
        texts.add(text);
      }
    }
    if (texts.isEmpty()) {
      throw HoldfastException.input("there is no test case to replay");
    }
    var prompts = new ArrayList<int[]>();
    for (int i = 0; i < texts.size(); i++) {
      prompts.add(asked.get(i).encode(chat, texts.get(i)));
    }
    var greedy = Generation.greedy(newTokens, chat.tokenizer().endOfText());
    var continued = new Generator(model, Tap.NONE, batch).generate(prompts, greedy);
    var answers = new ArrayList<Answer>();
    for (int i = 0; i < texts.size(); i++) {
      var text = chat.tokenizer().decode(continued.get(i).ids(), true);
      var one = asked.get(i);
      answers.add(new Answer(one.id(), texts.get(i), text, judge.judge(one.asked(), text)));
    }
    return answers;
  }

  /** The outcomes of answers, counted. */
  public static Tally tally(List<Answer> answers) {
    return Tally.of(answers.stream().map(Answer::outcome).toList());
  }
}
