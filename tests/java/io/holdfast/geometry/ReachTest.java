package io.holdfast.geometry;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which of seven prompt tokens, the last three the template's, and of an answer are reached. */
class ReachTest {
  @ParameterizedTest
  @CsvSource({
    "ALL, 0 1 2 3 4 5 6, 0",
    "PROMPT, 0 1 2 3 4 5 6, ''",
    "CONTENT, 0 1 2 3, ''",
    "INSTRUCTION_END, 3, ''",
    "TEMPLATE, 4 5 6, ''",
    "PROMPT_END, 6, ''",
    "ANSWER, '', 0"
  })
  void columnsOfPromptAndAnswer(Reach.Tokens tokens, String prompt, String answer) {
    var reach = new Reach(tokens, 3);
    assertEquals(prompt, columns(reach, 7));
    assertEquals(answer, columns(reach, 1));
  }

  /** The same prompt with two tokens of its answer in one pass. */
  @ParameterizedTest
  @CsvSource({
    "ALL, 0 1 2 3 4 5 6 7 8",
    "PROMPT, 0 1 2 3 4 5 6",
    "CONTENT, 0 1 2 3",
    "INSTRUCTION_END, 3",
    "TEMPLATE, 4 5 6",
    "PROMPT_END, 6",
    "ANSWER, 7 8"
  })
  void columnsWithWhatIsGivenOfTheAnswer(Reach.Tokens tokens, String columns) {
    assertEquals(columns, columns(new Reach(tokens, 3).withAnswer(2), 9));
  }

  @ParameterizedTest
  @CsvSource({"CONTENT, ''", "INSTRUCTION_END, ''", "TEMPLATE, 0 1"})
  void aPromptThatIsAllTemplate(Reach.Tokens tokens, String columns) {
    assertEquals(columns, columns(new Reach(tokens, 3), 2));
  }

  private static String columns(Reach reach, int time) {
    var found = reach.columns(time);
    return IntStream.range(found.from(), found.from() + found.count())
        .mapToObj(String::valueOf)
        .collect(Collectors.joining(" "));
  }
}
