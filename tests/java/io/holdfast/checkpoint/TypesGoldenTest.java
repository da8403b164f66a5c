package io.holdfast.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.Goldens;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Every element type, as Python wrote it: element i is i + 1. */
class TypesGoldenTest {
  private static double value(TensorEntry tensor, long i) {
    MemorySegment data = tensor.data();
    return switch (tensor.dtype()) {
      case FLOAT32 -> data.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      case BFLOAT16 ->
          Float.intBitsToFloat(data.getAtIndex(ValueLayout.JAVA_SHORT, i) << Short.SIZE);
      case FLOAT16 -> Float.float16ToFloat(data.getAtIndex(ValueLayout.JAVA_SHORT, i));
      case FLOAT64 -> data.getAtIndex(ValueLayout.JAVA_DOUBLE, i);
      case INT64 -> data.getAtIndex(ValueLayout.JAVA_LONG, i);
      case INT32 -> data.getAtIndex(ValueLayout.JAVA_INT, i);
      case INT16 -> data.getAtIndex(ValueLayout.JAVA_SHORT, i);
      case INT8, UINT8, BOOL -> data.getAtIndex(ValueLayout.JAVA_BYTE, i);
    };
  }

  @Test
  void valuesShapesNamesAndMetadata() {
    try (var file = Safetensors.open(Goldens.path("checkpoint/types.safetensors"))) {
      assertEquals(Map.of("made é by", "a \"script\"\n"), file.metadata());
      int types = 0;
      for (String name : file.names()) {
        TensorEntry tensor = file.get(name);
        for (long i = 0; i < tensor.elements(); i++) {
          double expected = tensor.dtype() == io.holdfast.kernels.DType.BOOL ? 1 : i + 1;
          assertEquals(expected, value(tensor, i), name + " " + i);
        }
        if (name.endsWith("]")) {
          assertEquals(name.substring(name.indexOf('/') + 1), tensor.shape().toString());
          types++;
        }
      }
      assertEquals(50, types);
      for (String name :
          List.of("é", "quote\"back\\slash", "line\nbreak\u2028", "\uff5e", "😀", "a/b", "")) {
        assertTrue(file.names().contains(name), name);
      }
    }
  }
}
