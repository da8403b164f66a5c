package io.holdfast.checkpoint;

import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Collection;
import java.util.Comparator;
import java.util.HexFormat;

/**
 * Identifies weights by content: SHA-256 over one line a tensor, in the order of the names. A line
 * is the SHA-256 of the tensor's bytes, its type, its shape, its name's length and its name. So the
 * files' layout does not matter, and tensors are hashed on all cores.
 */
final class WeightsHash {
  private static final int CHUNK = 1 << 20;

  private WeightsHash() {}

  static String of(Collection<TensorEntry> tensors) {
    MessageDigest digest = sha256();
    tensors.parallelStream()
        .sorted(Comparator.comparing(TensorEntry::name))
        .map(WeightsHash::line)
        .forEachOrdered(line -> digest.update(line.getBytes(StandardCharsets.UTF_8)));
    return HexFormat.of().formatHex(digest.digest());
  }

  private static String line(TensorEntry tensor) {
    MessageDigest digest = sha256();
    MemorySegment data = tensor.data();
    byte[] chunk = new byte[(int) Math.min(CHUNK, data.byteSize())];
    for (long done = 0; done < data.byteSize(); ) {
      int size = (int) Math.min(CHUNK, data.byteSize() - done);
      MemorySegment.ofArray(chunk).asSlice(0, size).copyFrom(data.asSlice(done, size));
      digest.update(chunk, 0, size);
      done += size;
    }
    return "%s %s %s %d %s\n"
        .formatted(
            HexFormat.of().formatHex(digest.digest()),
            tensor.dtype().safetensors(),
            tensor.shape(),
            tensor.name().length(),
            tensor.name());
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java has SHA-256", e);
    }
  }
}
