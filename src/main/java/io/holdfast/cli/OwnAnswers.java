package io.holdfast.cli;

import io.holdfast.data.Example;
import io.holdfast.eval.Case;
import io.holdfast.eval.Outcome;
import io.holdfast.eval.PhraseList;
import io.holdfast.eval.Prompt;
import io.holdfast.model.Decoder;
import io.holdfast.model.Generation;
import io.holdfast.model.Generator;
import io.holdfast.model.Tap;
import io.holdfast.text.ChatTokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Prompts with the answers that a model gives of itself, decoded greedily.
 *
 * @param refused those it refuses
 * @param answered those it answers; blank answers are neither
 */
record OwnAnswers(List<Example> refused, List<Example> answered) {
  private static final int NEW_TOKENS = 64;
  private static final int BATCH = 32;

  /** Lets a model answer, and judges by a phrase list. */
  static OwnAnswers of(
      Decoder model, ChatTokenizer chat, List<Example> prompts, PhraseList phrases) {
    var refused = new ArrayList<Example>();
    var answered = new ArrayList<Example>();
    var greedy = Generation.greedy(NEW_TOKENS, chat.tokenizer().endOfText());
    new Generator(model, Tap.NONE, BATCH)
        .generate(
            prompts.iterator(),
            Example::ids,
            greedy,
            (prompt, continued) -> {
              var text = chat.tokenizer().decode(continued.ids(), true);
              var outcome = phrases.judge(unreferenced(prompt), text);
              if (outcome != Outcome.OTHER) {
                var kind = outcome == Outcome.REFUSE ? refused : answered;
                kind.add(withAnswer(prompt, continued.ids()));
              }
            });
    return new OwnAnswers(refused, answered);
  }

  private static Case unreferenced(Example prompt) {
    return new Case(new Prompt(prompt.id(), List.of()), Optional.empty(), Map.of());
  }

  private static Example withAnswer(Example prompt, int[] answer) {
    int[] ids = Arrays.copyOf(prompt.ids(), prompt.length() + answer.length);
    System.arraycopy(answer, 0, ids, prompt.length(), answer.length);
    return new Example(
        prompt.id(),
        ids,
        new boolean[ids.length],
        prompt.instructionEnd(),
        prompt.promptEnd(),
        prompt.risk(),
        prompt.place());
  }

  /** The examples without their answers. */
  static List<Example> promptsOf(List<Example> examples) {
    return examples.stream()
        .map(
            example ->
                new Example(
                    example.id(),
                    Arrays.copyOf(example.ids(), example.promptEnd() + 1),
                    new boolean[example.promptEnd() + 1],
                    example.instructionEnd(),
                    example.promptEnd(),
                    example.risk(),
                    example.place()))
        .toList();
  }
}
