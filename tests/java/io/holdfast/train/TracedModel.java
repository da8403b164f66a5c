package io.holdfast.train;

import io.holdfast.model.AdaptedDecoder;
import io.holdfast.model.Decoder;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;

/** What a trace trains: all of its model, or the adapter that it names. */
record TracedModel(Decoder decoder, SequencedMap<String, Tensor> parameters, AutoCloseable whole)
    implements AutoCloseable {
  static TracedModel of(Trace trace) {
    var made = trace.named("adapter") == null ? whole(trace) : adapter(trace);
    made.parameters().values().forEach(tensor -> tensor.requires_grad_(true));
    return made;
  }

  private static TracedModel whole(Trace trace) {
    try (var file = Decoder.load(trace.named("model"))) {
      var decoder = file.copy();
      return new TracedModel(decoder, new LinkedHashMap<>(decoder.weights().all()), decoder);
    }
  }

  private static TracedModel adapter(Trace trace) {
    var adapted = AdaptedDecoder.load(trace.named("model"), trace.named("adapter"));
    return new TracedModel(adapted.decoder(), adapted.parameters(), adapted);
  }

  @Override
  public void close() {
    try {
      whole.close();
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }
}
