package io.holdfast.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import org.junit.jupiter.api.Test;

class CFunctionTest {
  private static CFunction standard(String name) {
    return CFunction.standard(name).orElseThrow();
  }

  @Test
  void intsAndPointersArrive() {
    try (var arena = Arena.ofConfined()) {
      assertEquals(42, standard("atoi").call(arena.allocateFrom("42")));
      var same = arena.allocateFrom("abc");
      assertEquals(0, standard("strncmp").call(same, arena.allocateFrom("abd"), 2));
      assertTrue(standard("strncmp").call(same, arena.allocateFrom("abd"), 3) < 0);
    }
    assertEquals(7, standard("abs").call(-7));
  }

  @Test
  void whatIsNotThereIsNotFound() {
    assertTrue(CFunction.standard("no_function_is_called_this").isEmpty());
    assertThrows(IllegalArgumentException.class, () -> standard("abs").call(1.0));
  }
}
