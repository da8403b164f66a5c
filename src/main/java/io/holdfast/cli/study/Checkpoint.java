package io.holdfast.cli.study;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Sha256;
import io.holdfast.model.Decoder;
import io.holdfast.model.StoredAdapter;
import java.nio.file.Path;
import java.util.List;

/**
 * A model of a study: a Hugging Face folder, or an adapter on top of the study's base.
 *
 * @param name as readers see it
 * @param folder of the model or adapter
 * @param base of an adapter
 */
public record Checkpoint(String name, Path folder, Path base) {
  /** Loads it, an adapter switched in. */
  public Decoder load() {
    return StoredAdapter.in(folder)
        ? new StoredAdapter(folder).on(Decoder.load(base))
        : Decoder.load(folder);
  }

  /**
   * Loads it for a comparison with a reference.
   *
   * @throws HoldfastException if it is of another architecture
   */
  Decoder loadLike(Decoder reference, String referenceName) {
    var decoder = load();
    try {
      requireAlike(folder, decoder, referenceName, reference);
      return decoder;
    } catch (RuntimeException e) {
      decoder.close();
      throw e;
    }
  }

  /**
   * Refuses to compare models of two shapes.
   *
   * @throws HoldfastException that names both
   */
  public static void requireAlike(
      Path folder, Decoder decoder, String referenceName, Decoder reference) {
    var here = decoder.architecture();
    var there = reference.architecture();
    if (!here.equals(there)) {
      throw HoldfastException.input(
          "%s: is of another architecture than %s (%d blocks of width %d with %d tokens, there %d"
              + " of width %d with %d): their states cannot be compared; leave it out",
          folder,
          referenceName,
          here.depth(),
          here.hidden(),
          here.vocabulary(),
          there.depth(),
          there.hidden(),
          there.vocabulary());
    }
  }

  /** Identifies its weights. */
  String hash() {
    if (StoredAdapter.in(folder)) {
      return Sha256.of(List.of(new StoredAdapter(folder).weights()));
    }
    try (var files = ModelFolder.open(folder)) {
      return files.hash();
    }
  }
}
