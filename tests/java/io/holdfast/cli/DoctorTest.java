package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class DoctorTest {
  @Test
  void everyPartIsNamedAndWhatIsMissingComesLast() {
    var said = Invocation.of("doctor");
    assertEquals(0, said.exitCode(), said.err());
    var lines = said.out().lines().toList();
    for (var part :
        new String[] {"holdfast", "java", "system", "libtorch", "kernels", "gpu", "cuda", "c++"}) {
      assertEquals(1, lines.stream().filter(l -> l.startsWith(part + " ")).count(), part);
    }
    assertTrue(said.out().contains("java       " + System.getProperty("java.version")));
    int verdict = lines.indexOf("Nothing is missing.");
    int missing = lines.indexOf("What is missing:");
    assertTrue(verdict == lines.size() - 1 || missing > 0 && missing < lines.size() - 1);
  }
}
