package io.holdfast.model;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AdapterFolder;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A folder that holds what was trained on top of a model: a LoRA in PEFT's files, or interventions
 * of ReFT.
 */
public record StoredAdapter(Path folder) {
  /** Whether a folder holds an adapter, and no model. */
  public static boolean in(Path folder) {
    return new StoredAdapter(folder).reft()
        || Files.isRegularFile(folder.resolve(AdapterFolder.CONFIG));
  }

  private boolean reft() {
    return Files.isRegularFile(folder.resolve(ReftDecoder.CONFIG));
  }

  /** The file of its weights. */
  public Path weights() {
    return folder.resolve(reft() ? ReftDecoder.WEIGHTS : AdapterFolder.WEIGHTS);
  }

  /**
   * A model with the adapter switched in, which is closed with what is returned.
   *
   * @throws HoldfastException if the folder holds none, or it does not fit; the model is closed
   */
  public Decoder on(Decoder base) {
    try {
      return reft()
          ? ReftDecoder.load(base, folder).decoder()
          : AdaptedDecoder.load(base, folder).decoder();
    } catch (RuntimeException e) {
      base.close();
      throw e;
    }
  }
}
