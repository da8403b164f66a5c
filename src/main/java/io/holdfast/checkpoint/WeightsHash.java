package io.holdfast.checkpoint;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.Comparator;

/**
 * Identifies weights by content: SHA-256 over one line a tensor, in the order of the names. A line
 * is the SHA-256 of the tensor's bytes, its type, its shape, its name's length and its name. So the
 * files' layout does not matter, and tensors are hashed on all cores.
 */
final class WeightsHash {
  private static final int CHUNK = 1 << 20;

  private WeightsHash() {}

  static String of(Collection<TensorEntry> tensors) {
    var hash = new Sha256();
    tensors.parallelStream()
        .sorted(Comparator.comparing(TensorEntry::name))
        .map(WeightsHash::line)
        .forEachOrdered(line -> hash.add(line));
    return hash.hex();
  }

  private static String line(TensorEntry tensor) {
    var hash = new Sha256();
    MemorySegment data = tensor.data();
    byte[] chunk = new byte[(int) Math.min(CHUNK, data.byteSize())];
    for (long done = 0; done < data.byteSize(); ) {
      int size = (int) Math.min(CHUNK, data.byteSize() - done);
      MemorySegment.ofArray(chunk).asSlice(0, size).copyFrom(data.asSlice(done, size));
      hash.add(ByteBuffer.wrap(chunk, 0, size));
      done += size;
    }
    return "%s %s %s %d %s\n"
        .formatted(
            hash.hex(),
            tensor.dtype().safetensors(),
            tensor.shape(),
            tensor.name().length(),
            tensor.name());
  }
}
