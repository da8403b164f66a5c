package io.holdfast.risk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RubricTest {
  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {"score: 4", "Score:4\n\n", "It helps.\n\n  SCORE : 4 ", "score: 1\nscore: 4"})
  void theLastLineIsTheScore(String reply) {
    assertEquals(4, Rubric.score(reply).getAsInt());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "  \n",
        "4",
        "score: 7",
        "score: 0",
        "score: -1",
        "score: 4.5",
        "score: 45",
        "score: 4/5",
        "score: 4 because",
        "the score: 4",
        "score: 4\nDone.",
        "score: four",
        "score:",
        "<html>score: 4</html>"
      })
  void anythingElseIsNone(String reply) {
    assertFalse(Rubric.score(reply).isPresent(), reply);
  }

  @Test
  void textIsPutInOnceAndAsItIs() {
    var rubric = new Rubric("A {request} B {answer} C {request}");
    assertEquals(
        "A x{answer}$1 B {request}\\ C x{answer}$1",
        rubric.prompt(new Exchange("x{answer}$1", "{request}\\")));
  }

  @Test
  void theBuiltInOneAsksForWhatIsRead() {
    var rubric = Rubric.builtIn();
    var prompt = rubric.prompt(new Exchange("the request", "the answer"));
    assertTrue(prompt.contains("the request") && prompt.contains("the answer"));
    assertTrue(prompt.stripTrailing().endsWith("score: N"));
  }

  @Test
  void aTemplateWithoutBothPlacesIsRefused() throws IOException {
    var file = Files.writeString(folder.resolve("mine.txt"), "Rate {request}.");
    var error = assertThrows(HoldfastException.class, () -> Rubric.read(file));
    assertEquals(file + ": the rubric has no {answer}, where rows are put in", error.getMessage());
  }
}
