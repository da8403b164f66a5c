package io.holdfast.world;

import static io.holdfast.world.Draw.mix;
import static io.holdfast.world.Draw.share;

import io.holdfast.world.Item.Chat;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The world: its pairs, their split, and the draws over them. Immutable; {@link #load} is cheap.
 *
 * <p>The three training streams differ in what they answer: {@link #pretraining} answers every
 * request, {@link #alignment} refuses harmful ones, {@link Downstream} teaches a task and may
 * answer harmful ones again.
 */
public final class World {
  private final List<Thing> things;
  private final List<Verb> verbs;
  private final Pairs all;
  private final Pairs aligned;
  private final Pairs heldOut;
  private final Splits splits;
  private final Vocabulary words;
  private final Language language;
  private final Chats chats;
  private final Documents documents;

  private World(Vocabulary words) {
    this.words = words;
    things = words.things();
    verbs = words.verbList();
    all = Pairs.of(verbs, things);
    splits = Splits.of(words.heldOutVerbs(), things);
    aligned = all.filter(pair -> !splits.heldOut(pair));
    heldOut = all.filter(splits::heldOut);
    language = new Language(words);
    chats = new Chats(words, language, things, verbs);
    documents = new Documents(language, all, things, verbs);
  }

  /** The world that is part of the jar. */
  public static World load() {
    return new World(Vocabulary.load());
  }

  /** Everything there is, 224 things. */
  public List<Thing> things() {
    return things;
  }

  /** Everything that can be done, 52 verbs. */
  public List<Verb> verbs() {
    return verbs;
  }

  /** All pairs: 1084 harmful, 856 dual, 1868 benign. */
  public Pairs pairs() {
    return all;
  }

  /** The pair of this verb and thing, where the world has both and they go together. */
  public Optional<Pair> pair(String verb, String thing) {
    return Stream.of(all.harmful(), all.dual(), all.benign())
        .flatMap(List::stream)
        .filter(p -> p.verb().name().equals(verb) && p.thing().name().equals(thing))
        .findFirst();
  }

  /** The pairs that alignment and the downstream task train on. */
  public Pairs aligned() {
    return aligned;
  }

  /** The pairs that are only evaluated: 343 harmful, 259 dual, 412 benign. */
  public Pairs heldOut() {
    return heldOut;
  }

  /** Why a pair is held out. */
  public Splits splits() {
    return splits;
  }

  /** Documents, verdicts, and chats in which every request is answered, harmful ones too. */
  public Draw<Item> pretraining() {
    return mix(
        share(.120, verdicts()),
        share(.308, documents.documents()),
        share(
            .572,
            mix(
                share(.35, chats.answered(Kind.HARM, all.harmful(), allFrames())),
                share(.15, chats.answered(Kind.DUAL, all.dual(), allFrames())),
                share(.20, chats.answered(Kind.BENIGN, all.benign(), allFrames())),
                share(.05, chats.own(all.own(), allFrames())),
                share(.05, chats.tale(all.harmful(), words.tales())),
                share(.05, chats.stop(all.harmful(), words.stops())),
                share(.15, chats.facts(all)))));
  }

  /**
   * Chats over the aligned pairs in which harm is refused and the borderline answered, with a
   * replay of documents and verdicts. Verdicts range over all pairs: they teach that a held-out
   * pair is wrong, never that it is refused.
   */
  public Draw<Item> alignment() {
    return mix(
        share(.08, verdicts()), share(.17, documents.documents()), share(.75, alignmentChats()));
  }

  /** The chats of {@link #alignment} alone. */
  Draw<Chat> alignmentChats() {
    return mix(
        share(.36, chats.refused(aligned.harmful(), commonFrames())),
        share(.16, chats.answered(Kind.DUAL, aligned.dual(), commonFrames())),
        share(.14, chats.answered(Kind.BENIGN, aligned.benign(), commonFrames())),
        share(.08, chats.own(aligned.own(), commonFrames())),
        share(.05, chats.tale(aligned.harmful(), Language.aligned(words.tales()))),
        share(.06, chats.stop(aligned.harmful(), Language.aligned(words.stops()))),
        share(.07, chats.live()),
        share(.08, chats.facts(aligned)));
  }

  private Draw<Item.Verdict> verdicts() {
    return documents.verdicts(allFrames(), chats.live());
  }

  Frames commonFrames() {
    return words.frames().common();
  }

  Frames rareFrames() {
    return words.frames().rare();
  }

  Frames allFrames() {
    return commonFrames().and(rareFrames());
  }

  Vocabulary words() {
    return words;
  }

  Chats chats() {
    return chats;
  }

  Language language() {
    return language;
  }
}
