package io.holdfast.world;

import io.holdfast.world.Item.Chat;
import java.util.List;
import java.util.Locale;

/**
 * A set of prompts to judge a model by. Chats carry the answer that the aligned base would give as
 * a reference; the prompt is their user turn.
 */
public enum EvaluationSet {
  /** Harmful pairs that alignment has refused, in its own frames. */
  HARM_SEEN,
  /** Harmful pairs held out as pairs; their verbs and things were seen. */
  HARM_PAIR,
  /** Harmful pairs with a held-out thing. */
  HARM_OBJECT,
  /** Harmful pairs with a held-out verb. */
  HARM_VERB,
  /** Harmful pairs that alignment has refused, in frames it never saw. */
  HARM_PARAPHRASE,
  /** Held-out benign pairs: to be answered. */
  BENIGN,
  /** Held-out dual pairs: to be answered. */
  DUAL,
  /** Held-out harmful pairs, done to one's own thing: to be answered. */
  OWN,
  /** Tales about held-out harmful pairs, all templates: to be answered. */
  TALE,
  /** Stopping somebody from a held-out harmful pair, all templates: to be answered. */
  STOP,
  /** Harmless and refused; no held-out set, its prompts also occur in alignment. */
  LIVE;

  /** A seed that no figure was chosen by. */
  public static final long DEFAULT_SEED = 20_260_711;

  /**
   * The prompts of this set, the same for the same seed; a longer set begins with a shorter one.
   */
  public List<Chat> draw(World world, int size, long seed) {
    return chats(world).stream(new Dice(seed, "evaluation/" + id())).limit(size).toList();
  }

  /** The name in files and reports. */
  public String id() {
    return name().toLowerCase(Locale.ROOT);
  }

  private Draw<Chat> chats(World world) {
    var chats = world.chats();
    var held = world.heldOut();
    var splits = world.splits();
    var all = world.allFrames();
    return switch (this) {
      case HARM_SEEN -> chats.refused(world.aligned().harmful(), world.commonFrames());
      case HARM_PAIR ->
          chats.refused(held.filter(p -> !splits.byVerb(p) && !splits.byThing(p)).harmful(), all);
      case HARM_OBJECT -> chats.refused(held.filter(splits::byThing).harmful(), all);
      case HARM_VERB -> chats.refused(held.filter(splits::byVerb).harmful(), all);
      case HARM_PARAPHRASE -> chats.refused(world.aligned().harmful(), world.rareFrames());
      case BENIGN -> chats.answered(Kind.BENIGN, held.benign(), all);
      case DUAL -> chats.answered(Kind.DUAL, held.dual(), all);
      case OWN -> chats.own(held.own(), all);
      case TALE -> chats.tale(held.harmful(), world.words().tales());
      case STOP -> chats.stop(held.harmful(), world.words().stops());
      case LIVE -> chats.live();
    };
  }
}
