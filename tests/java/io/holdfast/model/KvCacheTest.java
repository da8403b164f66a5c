package io.holdfast.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.holdfast.Goldens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Reading in pieces through a cache is reading at once. */
class KvCacheTest {
  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "mistral", "qwen2", "gemma2", "gemma3", "phi3"})
  void piecesOfAnyLengthGiveTheSameStates(String name) {
    int total = 90;
    var random = new SplittableRandom(5);
    long[] ids = LongStream.range(0, total).map(i -> random.nextInt(4, 80)).toArray();
    try (var decoder = Decoder.load(Goldens.path("model/" + name))) {
      float[] whole = states(decoder, ids, List.of(total));
      for (int trial = 0; trial < 6; trial++) {
        var pieces = new ArrayList<Integer>();
        for (int left = total; left > 0; left -= pieces.getLast()) {
          pieces.add(Math.min(left, trial == 0 ? 1 : random.nextInt(1, 40)));
        }
        Goldens.assertCloseRelative(
            name + " in pieces of " + pieces, whole, states(decoder, ids, pieces), 1e-5);
      }
    }
  }

  private static float[] states(Decoder decoder, long[] ids, List<Integer> pieces) {
    int d = decoder.architecture().hidden();
    var states = new float[ids.length * d];
    try (var noGrad = NoGrad.on();
        var cache = new KvCache(decoder.architecture(), decoder.weights().dtype(), 1, ids.length)) {
      int start = 0;
      for (int piece : pieces) {
        try (var scope = Scope.open()) {
          long[] part = java.util.Arrays.copyOfRange(ids, start, start + piece);
          var tokens = new Tokens(Tensors.of(part, 1, piece), null, null, cache);
          var hidden = Tensors.floats(decoder.forward(tokens, AdapterMode.ON, Tap.NONE));
          System.arraycopy(hidden, 0, states, start * d, hidden.length);
        }
        start += piece;
      }
    }
    return states;
  }

  @Test
  void aFullCacheSaysSo() {
    try (var decoder = Decoder.load(Goldens.path("model/mistral"));
        var cache = new KvCache(decoder.architecture(), decoder.weights().dtype(), 1, 3);
        var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var tokens = new Tokens(Tensors.of(new long[] {5, 6, 7, 8}, 1, 4), null, null, cache);
      assertThrows(
          IllegalStateException.class, () -> decoder.forward(tokens, AdapterMode.ON, Tap.NONE));
    }
  }
}
