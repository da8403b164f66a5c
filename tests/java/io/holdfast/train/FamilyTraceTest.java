package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.holdfast.Goldens;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.model.Decoder;
import io.holdfast.model.Scorer;
import io.holdfast.torch.Scope;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Twenty steps of every family, in full and with LoRA, against {@code transformers} and PEFT. */
class FamilyTraceTest {
  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  static Stream<Arguments> traces() throws IOException {
    try (var folders = Files.list(Goldens.path("families"))) {
      return folders
          .map(folder -> folder.getFileName().toString())
          .sorted()
          .flatMap(name -> Stream.of(Arguments.of(name, "full"), Arguments.of(name, "lora")))
          .toList()
          .stream();
    }
  }

  @ParameterizedTest
  @MethodSource("traces")
  void followsTheTrace(String family, String kind) {
    var folder = Goldens.path("families").resolve(family);
    var trace = Trace.ofFamily(folder, kind);
    var kernels = KernelBackends.select(Optional.of("cpu"));
    try (var tuned = TracedModel.of(trace)) {
      var model = tuned.decoder();
      var optimizer = new Adamw(kernels, TraceTest.optimizerSettings(trace), tuned.parameters());
      var trainer =
          TraceTest.trainer(
              trace, model, Trace.rows(), optimizer, List.of(), new Reference(model), kernels);
      while (!trainer.done()) {
        TraceTest.compare(trace, trainer.step());
      }
      compareEnd(trace, model, folder.getFileName() + " " + kind);
      optimizer.close();
    }
  }

  private static void compareEnd(Trace trace, Decoder model, String what) {
    var probes = new ArrayList<int[]>();
    Goldens.json(Trace.file("probes.json")).forEach(ids -> probes.add(Goldens.ints(ids)));
    var scores = new Scorer(model, 4).score(probes);
    var kind = trace.folder().getFileName().toString();
    try (var golden = Safetensors.open(trace.folder().resolveSibling("final.safetensors"))) {
      for (int i = 0; i < probes.size(); i++) {
        float[] all = Goldens.floats(golden, kind + "/" + i);
        int vocabulary = model.architecture().vocabulary();
        Goldens.assertClose(
            what + ": final logits of probe " + i,
            Arrays.copyOfRange(all, all.length - vocabulary, all.length),
            scores.get(i).lastLogits(),
            1e-3);
      }
    }
  }
}
