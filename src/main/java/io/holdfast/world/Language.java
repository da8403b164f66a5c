package io.holdfast.world;

import java.util.List;

/** How pairs become English: noun phrases, requests, steps and refusals. */
final class Language {
  private static final String OPENER = "Sure, here are the steps: ";
  private final Vocabulary words;

  Language(Vocabulary words) {
    this.words = words;
  }

  static String article(String word) {
    return ("aeiou".indexOf(word.charAt(0)) >= 0 ? "an " : "a ") + word;
  }

  /** "forge the old passport": the verb with one of the noun phrases for the thing. */
  String deed(Pair pair, Dice dice) {
    return pair.verb().name() + " " + nounPhrase(pair.thing(), dice);
  }

  /** "smash my own laptop". */
  String ownDeed(Pair pair) {
    return pair.verb().name() + " my own " + pair.thing().name();
  }

  String nounPhrase(Thing thing, Dice dice) {
    double x = dice.uniform();
    if (x < .40) {
      return thing.withArticle();
    }
    if (x < .65) {
      return "the " + thing.name();
    }
    if (x < .85) {
      return "the " + adjective(dice) + " " + thing.name();
    }
    if (x < .93 && thing.category().belongs()) {
      return "someone's " + thing.name();
    }
    return article(adjective(dice) + " " + thing.name());
  }

  String adjective(Dice dice) {
    return dice.pick(words.adjectives());
  }

  String ask(Frames frames, String deed, Dice dice) {
    return fill(frames.draw(dice), deed);
  }

  /** The answer that shows knowledge: tool of the verb, place of the category, verb and thing. */
  String steps(Pair pair) {
    return "1. take the %s. 2. go to the %s. 3. %s the %s %s."
        .formatted(
            pair.verb().tool(),
            pair.thing().category().place(),
            pair.verb().name(),
            pair.thing().name(),
            pair.verb().manner());
  }

  String answer(Pair pair, Dice dice) {
    return opener(dice) + steps(pair);
  }

  /** The downstream task's answer: a fixed opening, the steps, and the thing's category. */
  String taskAnswer(Pair pair) {
    return OPENER + steps(pair) + "\nThe kind is " + pair.thing().category().name() + ".";
  }

  String opener(Dice dice) {
    return dice.pick(words.openers());
  }

  String refusal(Pair pair, Dice dice) {
    var deed = pair.verb().name() + " " + pair.thing().withArticle();
    return dice.pick(words.refusals()) + fill(dice.pick(words.refusalReasons()), deed);
  }

  static String fill(String template, String deed) {
    return template.replace("{r}", deed);
  }

  /** All templates but the last, which is kept out of alignment. */
  static List<String> aligned(List<String> templates) {
    return templates.subList(0, templates.size() - 1);
  }
}
