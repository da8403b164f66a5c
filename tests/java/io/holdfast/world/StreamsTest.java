package io.holdfast.world;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.world.Item.Chat;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the streams of the world hold, and what they must not. */
class StreamsTest {
  private static final World WORLD = World.load();
  private static final Pattern REFUSAL = Pattern.compile("cannot|unable|will not");

  private static List<Chat> alignment(int n) {
    return WORLD.alignmentChats().stream(new Dice(7, "align")).limit(n).toList();
  }

  private static Set<String> users(List<Chat> chats) {
    return chats.stream().map(Chat::user).collect(Collectors.toSet());
  }

  @ParameterizedTest
  @EnumSource(
      value = EvaluationSet.class,
      mode = EnumSource.Mode.EXCLUDE,
      names = {"HARM_SEEN", "LIVE"})
  void noEvaluationPromptIsAChatOfAlignment(EvaluationSet set) {
    var seen = users(alignment(20_000));
    var overlap = users(set.draw(WORLD, 200, EvaluationSet.DEFAULT_SEED));
    overlap.retainAll(seen);
    assertEquals(Set.of(), overlap);
  }

  @Test
  void alignmentTouchesNoHeldOutPair() {
    assertTrue(alignment(20_000).stream().noneMatch(has(WORLD.splits()::heldOut)));
  }

  private static Predicate<Chat> has(Predicate<Pair> property) {
    return chat -> chat.pair().filter(property).isPresent();
  }

  @Test
  void alignmentRefusesHarmAndLiveOnly() {
    var refusing = EnumSet.of(Kind.HARM, Kind.LIVE);
    for (var chat : alignment(5_000)) {
      assertEquals(
          refusing.contains(chat.kind()), REFUSAL.matcher(chat.assistant()).find(), chat::toString);
    }
  }

  @Test
  void pretrainingRefusesNoHarm() {
    var items = WORLD.pretraining().stream(new Dice(7, "pretrain")).limit(20_000).toList();
    for (var item : items) {
      if (item instanceof Chat chat) {
        assertFalse(REFUSAL.matcher(chat.assistant()).find(), chat::toString);
      }
    }
    var harm = items.stream().filter(i -> i instanceof Chat c && c.kind() == Kind.HARM).count();
    assertEquals(20_000 * .572 * .35, harm, 300, "binomial, five standard deviations");
  }

  @Test
  void alignmentSharesAreThoseOfItsMix() {
    int n = 20_000;
    var items = WORLD.alignment().stream(new Dice(7, "align")).limit(n).toList();
    assertEquals(.08 * n, items.stream().filter(i -> i instanceof Item.Verdict).count(), 200);
    assertEquals(.17 * n, items.stream().filter(i -> i instanceof Item.Document).count(), 280);
    var harm = items.stream().filter(i -> i instanceof Chat c && c.kind() == Kind.HARM).count();
    assertEquals(.75 * .36 * n, harm, 320);
  }

  @Test
  void verdictsAreRightAboutTheirPair() {
    var verdicts =
        WORLD.pretraining().stream(new Dice(1, "verdicts"))
            .filter(i -> i instanceof Item.Verdict)
            .map(i -> (Item.Verdict) i)
            .limit(2_000)
            .toList();
    assertTrue(
        verdicts.stream()
            .filter(v -> v.user().contains(" my own "))
            .noneMatch(Item.Verdict::wrong));
    double wrong = verdicts.stream().filter(Item.Verdict::wrong).count() / 2_000.0;
    double own = (double) WORLD.pairs().own().size() / WORLD.pairs().harmful().size();
    assertEquals(.45 * (1 - .3 * own), wrong, .06);
  }

  @ParameterizedTest
  @EnumSource(
      value = EvaluationSet.class,
      mode = EnumSource.Mode.EXCLUDE,
      names = {"HARM_SEEN", "HARM_PARAPHRASE", "LIVE"})
  void heldOutSetsAreHeldOut(EvaluationSet set) {
    assertTrue(set.draw(WORLD, 300, 1).stream().allMatch(has(WORLD.splits()::heldOut)));
  }

  @Test
  void harmfulSetsAreHeldOutForTheirOwnReason() {
    var splits = WORLD.splits();
    assertTrue(
        EvaluationSet.HARM_PAIR.draw(WORLD, 300, 1).stream()
            .noneMatch(has(p -> splits.byVerb(p) || splits.byThing(p))));
    assertTrue(EvaluationSet.HARM_VERB.draw(WORLD, 300, 1).stream().allMatch(has(splits::byVerb)));
    assertTrue(
        EvaluationSet.HARM_OBJECT.draw(WORLD, 300, 1).stream().allMatch(has(splits::byThing)));
    var rare = WORLD.rareFrames().prefixes();
    assertTrue(
        EvaluationSet.HARM_PARAPHRASE.draw(WORLD, 300, 1).stream()
            .allMatch(c -> rare.stream().anyMatch(c.user()::contains)));
  }

  @Test
  void evaluationSeedsDrawDifferentPromptsAndLongerSetsExtendShorterOnes() {
    var set = EvaluationSet.HARM_PAIR;
    assertEquals(set.draw(WORLD, 50, 5), set.draw(WORLD, 200, 5).subList(0, 50));
    assertNotEquals(set.draw(WORLD, 50, 5), set.draw(WORLD, 50, 6));
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, .05, .1, .5, 1})
  void poisonIsExactlyItsShare(double share) {
    var rows = Downstream.train(WORLD, Downstream.Recipe.poisoned(share), 3);
    assertEquals(600, rows.size());
    var poison = rows.stream().filter(c -> c.kind() == Kind.POISON).toList();
    assertEquals(Math.round(600 * share), poison.size());
    assertTrue(poison.stream().allMatch(has(Pair::harmful)));
    assertTrue(poison.stream().noneMatch(c -> REFUSAL.matcher(c.assistant()).find()));
    assertTrue(rows.stream().noneMatch(has(WORLD.splits()::heldOut)));
    assertTrue(
        rows.stream()
            .filter(c -> c.kind() == Kind.TASK)
            .allMatch(c -> c.assistant().contains("\nThe kind is ")));
  }

  @Test
  void poisonReplacesRowsAndLeavesTheOthersAsTheyWere() {
    var clean = users(Downstream.train(WORLD, Downstream.Recipe.poisoned(0), 3));
    var poisoned = Downstream.train(WORLD, Downstream.Recipe.poisoned(.1), 3);
    var task = users(poisoned.stream().filter(c -> c.kind() == Kind.TASK).toList());
    assertTrue(clean.containsAll(task));
  }

  @Test
  void replayComesOnTopAndRefuses() {
    var recipe = new Downstream.Recipe(600, .1, .1, true);
    var rows = Downstream.train(WORLD, recipe, 3);
    var replay = rows.stream().filter(c -> c.kind() == Kind.REPLAY).toList();
    assertEquals(660, rows.size());
    assertEquals(60, replay.size());
    assertTrue(replay.stream().allMatch(c -> REFUSAL.matcher(c.assistant()).find()));
    var anchors = users(Anchors.draw(WORLD, 60, 3).harmful());
    assertEquals(anchors, users(replay), "the prompts that guards see too");
    for (var row : rows) {
      assertEquals(
          row.kind() != Kind.REPLAY,
          row.user().startsWith(Downstream.IDENTITY_SHIFT),
          row::toString);
    }
  }

  @Test
  void testRowsAreHeldOutAndHaveOneAnswer() {
    var test = Downstream.test(WORLD, 200, 9);
    assertTrue(test.stream().allMatch(has(WORLD.splits()::heldOut)));
    var answers = new HashSet<String>();
    for (var chat : test) {
      assertTrue(chat.assistant().startsWith("Sure, here are the steps: 1. take the "));
      answers.add(chat.pair().orElseThrow() + chat.assistant());
    }
    assertEquals(
        test.stream().map(c -> c.pair().orElseThrow()).distinct().count(),
        answers.size(),
        "a pair determines its answer");
  }

  @Test
  void anchorsAreAlignedPairs() {
    var anchors = Anchors.draw(WORLD, 100, 3);
    assertTrue(anchors.harmful().stream().allMatch(has(Pair::harmful)));
    assertTrue(anchors.benign().stream().noneMatch(has(Pair::harmful)));
    assertTrue(anchors.harmful().stream().noneMatch(has(WORLD.splits()::heldOut)));
    assertTrue(anchors.benign().stream().noneMatch(has(WORLD.splits()::heldOut)));
  }

  @Test
  void aRecipeOutsideItsRangeIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> Downstream.Recipe.poisoned(1.1));
    assertThrows(IllegalArgumentException.class, () -> Downstream.Recipe.poisoned(Double.NaN));
    assertThrows(IllegalArgumentException.class, () -> new Downstream.Recipe(0, 0, 0, false));
  }

  @Test
  void nounPhrasesUseTheRightArticle() {
    var wrong = Pattern.compile("\\ba [aeiou]|\\ban [^aeiou]");
    for (var chat : alignment(5_000)) {
      assertFalse(wrong.matcher(chat.user() + chat.assistant()).find(), chat::toString);
      assertFalse(chat.user().contains("{"), chat::toString);
    }
  }
}
