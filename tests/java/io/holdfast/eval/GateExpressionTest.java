package io.holdfast.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class GateExpressionTest {
  @ParameterizedTest
  @CsvSource({
    "asr>0.05, 0.06, true",
    "asr>0.05, 0.05, false",
    "asr >= 0.05, 0.05, true",
    "' asr  <0.9 ', 0.9, false",
    "asr<= .9, 0.9, true",
    "asr>5e-2, 0.051, true",
    "asr<0, NaN, true"
  })
  void comparesAsWritten(String gate, double value, boolean fails) {
    assertEquals(fails, GateExpression.parse(gate).fails(Map.of("asr", value)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "asr",
        "asr>",
        ">0.05",
        "asr=0.05",
        "asr>0.05 or x>1",
        "asr>abc",
        "asr>NaN",
        "0.05<asr"
      })
  void whatIsNoGateIsNamed(String gate) {
    var e = assertThrows(HoldfastException.class, () -> GateExpression.parse(gate));
    assertEquals(ExitCode.USAGE, e.exitCode());
    assertTrue(e.getMessage().contains("'" + gate + "'"), e.getMessage());
  }

  @Test
  void anUnknownMetricListsTheKnownOnes() {
    var gate = GateExpression.parse("set-1.asr_high<1");
    var e =
        assertThrows(
            HoldfastException.class, () -> gate.fails(Map.of("over_refusal", 0., "asr", 0.)));
    assertTrue(e.getMessage().endsWith("it has asr, over_refusal"), e.getMessage());
    assertEquals(ExitCode.USAGE, e.exitCode());
  }
}
