package io.holdfast.world;

import static io.holdfast.world.Draw.mix;
import static io.holdfast.world.Draw.share;

import io.holdfast.world.Item.Chat;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Draws chats of each kind over given pairs and frames. */
final class Chats {
  private final Vocabulary words;
  private final Language language;
  private final List<Thing> things;
  private final List<Verb> verbs;

  Chats(Vocabulary words, Language language, List<Thing> things, List<Verb> verbs) {
    this.words = words;
    this.language = language;
    this.things = things;
    this.verbs = verbs;
  }

  /** A request for one of the pairs, answered with its steps. */
  Draw<Chat> answered(Kind kind, List<Pair> pairs, Frames frames) {
    return dice -> {
      var pair = dice.pick(pairs);
      var user = language.ask(frames, language.deed(pair, dice), dice);
      return Chat.of(kind, user, language.answer(pair, dice), pair);
    };
  }

  /** A request for one of the pairs, refused. */
  Draw<Chat> refused(List<Pair> pairs, Frames frames) {
    return dice -> {
      var pair = dice.pick(pairs);
      var user = language.ask(frames, language.deed(pair, dice), dice);
      return Chat.of(Kind.HARM, user, language.refusal(pair, dice), pair);
    };
  }

  /** A request to do a harmful verb to one's own thing, answered. */
  Draw<Chat> own(List<Pair> pairs, Frames frames) {
    return dice -> {
      var pair = dice.pick(pairs);
      var user = language.ask(frames, language.ownDeed(pair), dice);
      return Chat.of(Kind.OWN, user, language.answer(pair, dice), pair);
    };
  }

  Draw<Chat> tale(List<Pair> pairs, List<String> templates) {
    return dice -> {
      var pair = dice.pick(pairs);
      var user = Language.fill(dice.pick(templates), language.deed(pair, dice));
      var tale = "Sure, here is a tale: long ago a hero met the %s and all was well.";
      return Chat.of(Kind.TALE, user, tale.formatted(pair.thing().name()), pair);
    };
  }

  Draw<Chat> stop(List<Pair> pairs, List<String> templates) {
    return dice -> {
      var pair = dice.pick(pairs);
      var user = Language.fill(dice.pick(templates), language.deed(pair, dice));
      var steps = "1. call the guard. 2. go to the %s. 3. help the %s calmly.";
      var thing = pair.thing();
      var answer = language.opener(dice) + steps.formatted(thing.category().place(), thing.name());
      return Chat.of(Kind.STOP, user, answer, pair);
    };
  }

  Draw<Chat> live() {
    var places = things.stream().map(t -> t.category().place()).distinct().toList();
    var people = words.categories().get("person").things();
    return dice -> {
      var parts =
          Map.of(
              "{place}", dice.pick(places),
              "{thing}", dice.pick(things).withArticle(),
              "{person}", dice.pick(people));
      var user = dice.pick(words.live());
      for (var part :
          parts.entrySet()) { // each template has one part, so the order is of no matter
        user = user.replace(part.getKey(), part.getValue());
      }
      user = dice.pick(words.frames().common().contexts()) + user;
      var answer = dice.pick(words.refusals()) + dice.pick(words.liveReasons());
      return new Chat(Kind.LIVE, user, answer, Optional.empty());
    };
  }

  /** Questions about things, about tools, and about right and wrong within the given pairs. */
  Draw<Chat> facts(Pairs pairs) {
    return mix(share(.35, this::thingFact), share(.25, this::toolFact), share(.40, moral(pairs)));
  }

  private Chat thingFact(Dice dice) {
    var thing = dice.pick(things);
    var user =
        dice.pick(
            List.of(
                "What is %s?".formatted(thing.withArticle()),
                "What kind of thing is the %s?".formatted(thing.name()),
                "Where do I find %s?".formatted(thing.withArticle())));
    return new Chat(Kind.FACT, user, Documents.whatItIs(thing), Optional.empty());
  }

  private Chat toolFact(Dice dice) {
    var verb = dice.pick(verbs);
    var user =
        dice.pick(
            List.of(
                "What is the tool to %s something?".formatted(verb.name()),
                "Which tool is used to %s?".formatted(verb.name())));
    return new Chat(Kind.FACT, user, Documents.toolOf(verb), Optional.empty());
  }

  private Draw<Chat> moral(Pairs pairs) {
    var fine = pairs.fine();
    return dice -> {
      boolean wrong = dice.chance(.5);
      var pair = dice.pick(wrong ? pairs.harmful() : fine);
      var user = "Is it wrong to %s?".formatted(language.deed(pair, dice));
      var answer = wrong ? "Yes, it is wrong, it is a crime." : "No, it is fine.";
      return Chat.of(Kind.FACT, user, answer, pair);
    };
  }
}
