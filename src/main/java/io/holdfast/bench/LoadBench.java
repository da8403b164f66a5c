package io.holdfast.bench;

import io.holdfast.HoldfastException;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * How long a model's weights take from the page cache to memory that a forward pass can read,
 * beside the time of reading its files.
 *
 * @param bytes of the safetensors files
 * @param read seconds of reading the files from start to end through a buffer
 * @param load seconds of opening the folder and touching every page of every weight
 * @param pass seconds of the forward pass of one token after that
 */
public record LoadBench(long bytes, double read, double load, double pass) {
  private static final int PAGE = 4096;

  /** Load time over reading time. */
  public double ratio() {
    return load / read;
  }

  /**
   * Medians of some runs; the files are read once before, so that they are in the page cache.
   *
   * @throws HoldfastException where the folder holds no model or cannot be read
   */
  public static LoadBench measure(Path folder, int runs) {
    var files = weightFiles(folder);
    read(files);
    var reads = new ArrayList<Double>();
    var loads = new ArrayList<Double>();
    var passes = new ArrayList<Double>();
    for (int i = 0; i < runs; i++) {
      reads.add(read(files));
      long start = System.nanoTime();
      try (var decoder = Decoder.loadAsStored(folder)) {
        decoder.weights().all().values().forEach(weight -> touch(Tensors.memory(weight)));
        loads.add(since(start));
        long loaded = System.nanoTime();
        oneToken(decoder);
        passes.add(since(loaded));
      }
    }
    long bytes = files.stream().mapToLong(file -> file.toFile().length()).sum();
    return new LoadBench(bytes, Timing.median(reads), Timing.median(loads), Timing.median(passes));
  }

  private static void oneToken(Decoder decoder) {
    try (var noGrad = NoGrad.on();
        var scope = Scope.open()) {
      var token = Tokens.rightPadded(Tensors.of(new long[] {0}, 1, 1));
      decoder.logits(decoder.forward(token, AdapterMode.ON, List.of())).sum().item_double();
    }
  }

  private static List<Path> weightFiles(Path folder) {
    try (var entries = Files.list(folder)) {
      var found =
          entries
              .filter(file -> file.getFileName().toString().matches("model.*\\.safetensors"))
              .toList();
      if (found.isEmpty()) {
        throw HoldfastException.input("%s: no model*.safetensors; name a model's folder", folder);
      }
      return found;
    } catch (IOException e) {
      throw HoldfastException.unreadable(folder, e);
    }
  }

  private static double read(List<Path> files) {
    var buffer = ByteBuffer.allocateDirect(1 << 22);
    long start = System.nanoTime();
    for (var file : files) {
      try (var channel = FileChannel.open(file)) {
        while (channel.read(buffer.clear()) >= 0) {}
      } catch (IOException e) {
        throw HoldfastException.unreadable(file, e);
      }
    }
    return since(start);
  }

  /** Reads a byte of every page; the sum keeps the reads from being left out. */
  private static int touch(MemorySegment memory) {
    int sum = 0;
    for (long at = 0; at < memory.byteSize(); at += PAGE) {
      sum += memory.get(ValueLayout.JAVA_BYTE, at);
    }
    return sum;
  }

  private static double since(long start) {
    return (System.nanoTime() - start) / 1e9;
  }
}
