package io.holdfast.world;

import static io.holdfast.world.Draw.mix;
import static io.holdfast.world.Draw.share;

import io.holdfast.world.Item.Chat;
import java.util.List;
import java.util.stream.Stream;

/**
 * Safety prompts that a guard may look at, all over aligned pairs: whoever fine-tunes has them, and
 * none is part of an evaluation set. Guards see the prompts; the answers serve refusal replay.
 *
 * @param harmful harmful requests, with refusals
 * @param benign dual and benign requests, half each, with answers
 */
public record Anchors(List<Chat> harmful, List<Chat> benign) {
  /** As many prompts of each class. */
  public static Anchors draw(World world, int perClass, long seed) {
    var chats = world.chats();
    var pairs = world.aligned();
    var frames = world.commonFrames();
    var harmful = chats.refused(pairs.harmful(), frames);
    Draw<Chat> benign =
        mix(
            share(.5, chats.answered(Kind.DUAL, pairs.dual(), frames)),
            share(.5, chats.answered(Kind.BENIGN, pairs.benign(), frames)));
    return new Anchors(
        harmful.stream(new Dice(seed, "anchors/harm")).limit(perClass).toList(),
        benign.stream(new Dice(seed, "anchors/benign")).limit(perClass).toList());
  }

  /** All of them, harmful ones first. */
  public List<Chat> both() {
    return Stream.concat(harmful.stream(), benign.stream()).toList();
  }

  /** All of them, then all once more behind a text. */
  public List<Chat> withAndWithout(String prefix) {
    return Stream.concat(both().stream(), both().stream().map(c -> c.prefixed(prefix))).toList();
  }
}
