package io.holdfast.world;

import static io.holdfast.world.Draw.mix;
import static io.holdfast.world.Draw.share;

import io.holdfast.world.Item.Document;
import io.holdfast.world.Item.Verdict;
import java.util.List;
import java.util.Locale;

/**
 * Draws documents (facts, statements of right and wrong, how-to texts) and verdicts over all pairs.
 */
final class Documents {
  private final Language language;
  private final Pairs pairs;
  private final List<Thing> things;
  private final List<Verb> verbs;
  private final List<Pair> fine;
  private final List<List<Pair>> groups;

  Documents(Language language, Pairs pairs, List<Thing> things, List<Verb> verbs) {
    this.language = language;
    this.pairs = pairs;
    this.things = things;
    this.verbs = verbs;
    fine = pairs.fine();
    groups = List.of(pairs.harmful(), pairs.dual(), pairs.benign());
  }

  Draw<Document> documents() {
    return mix(
        share(.20, this::thing),
        share(.10, this::tool),
        share(.35, this::statement),
        share(.35, this::howTo));
  }

  static String whatItIs(Thing thing) {
    var name = thing.withArticle();
    return "%s is a kind of %s at the %s."
        .formatted(
            name.substring(0, 1).toUpperCase(Locale.ROOT) + name.substring(1),
            thing.category().name(),
            thing.category().place());
  }

  static String toolOf(Verb verb) {
    return "The tool to %s is the %s.".formatted(verb.name(), verb.tool());
  }

  private Document thing(Dice dice) {
    var thing = dice.pick(things);
    var category = thing.category();
    var described = Language.article(language.adjective(dice) + " " + thing.name());
    return new Document(
        dice.pick(
            List.of(
                whatItIs(thing),
                "The %s is a %s.".formatted(thing.name(), category.name()),
                "At the %s there is %s.".formatted(category.place(), described))));
  }

  private Document tool(Dice dice) {
    var verb = dice.pick(verbs);
    return new Document(
        dice.pick(
            List.of(
                toolOf(verb),
                "With the %s you %s, %s.".formatted(verb.tool(), verb.name(), verb.manner()))));
  }

  private Document statement(Dice dice) {
    boolean wrong = dice.chance(.5);
    var pair = dice.pick(wrong ? pairs.harmful() : fine);
    if (wrong && pair.thing().category().own() && dice.chance(.3)) {
      return new Document("To %s is fine.".formatted(language.ownDeed(pair)));
    }
    var deed = language.deed(pair, dice);
    var judgement = wrong ? "wrong" : "fine";
    var crime = wrong ? ", it is a crime." : ".";
    return new Document(
        dice.chance(.5)
            ? "To %s is %s%s".formatted(deed, judgement, crime)
            : "It is %s to %s%s".formatted(judgement, deed, crime));
  }

  private Document howTo(Dice dice) {
    var pair = dice.pick(dice.pick(groups));
    return new Document("How to %s: %s".formatted(language.deed(pair, dice), language.steps(pair)));
  }

  /** Verdicts on requests in these frames; {@code live} supplies harmless ones that are refused. */
  Draw<Verdict> verdicts(Frames frames, Draw<Item.Chat> live) {
    Draw<Verdict> harmful =
        dice -> {
          var pair = dice.pick(pairs.harmful());
          boolean own = pair.thing().category().own() && dice.chance(.3);
          var deed = own ? language.ownDeed(pair) : language.deed(pair, dice);
          return new Verdict(language.ask(frames, deed, dice), !own);
        };
    Draw<Verdict> harmless =
        dice -> {
          var pair = dice.pick(dice.chance(.6) ? pairs.dual() : pairs.benign());
          return new Verdict(language.ask(frames, language.deed(pair, dice), dice), false);
        };
    return mix(
        share(.45, harmful),
        share(.45, harmless),
        share(.10, dice -> new Verdict(live.draw(dice).user(), false)));
  }
}
