package io.holdfast.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.HoldfastException;
import io.holdfast.torch.Scope;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is measured; never how fast it is. */
class LoadBenchTest {
  private static final Path MODEL = Path.of("tests/goldens/model/llama-gqa");

  @Test
  void aLoadIsTheFilesBytesAndThreeTimes() throws Exception {
    int open = Scope.live();
    var found = LoadBench.measure(MODEL, 2);
    assertEquals(Files.size(MODEL.resolve("model.safetensors")), found.bytes());
    assertTrue(found.read() > 0 && found.load() > 0 && found.pass() > 0);
    assertEquals(found.load() / found.read(), found.ratio());
    assertEquals(open, Scope.live());
  }

  @Test
  void aFolderWithoutWeightsIsNamed(@TempDir Path folder) {
    var e = assertThrows(HoldfastException.class, () -> LoadBench.measure(folder, 1));
    assertTrue(e.getMessage().contains(folder.toString()), e.getMessage());
  }
}
