package io.holdfast.world;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A named stream of chance. Streams of different names are independent, so that one more row in one
 * file changes no other file.
 */
public final class Dice {
  private final SplittableRandom random;

  /** The stream of this name under this seed; the same arguments always give the same stream. */
  public Dice(long seed, String stream) {
    try {
      var digest = MessageDigest.getInstance("SHA-256");
      digest.update((stream + "/" + seed).getBytes(StandardCharsets.UTF_8));
      random = new SplittableRandom(ByteBuffer.wrap(digest.digest()).getLong());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  /** True with this probability. */
  boolean chance(double probability) {
    return uniform() < probability;
  }

  /** A number in [0, 1). */
  double uniform() {
    return random.nextDouble();
  }

  /** One of the entries, all equally likely. */
  <T> T pick(List<T> entries) {
    return entries.get(random.nextInt(entries.size()));
  }

  void shuffle(List<?> list) {
    Collections.shuffle(list, random);
  }
}
