package io.holdfast.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.report.LineChart.Scale;
import java.util.List;
import java.util.random.RandomGenerator;
import org.junit.jupiter.api.Test;

class LineChartTest {
  @Test
  void axesHaveRoundNumbers() {
    assertEquals(List.of("0.00", "0.25", "0.50", "0.75", "1.00"), Scale.over(0, 1).labels());
    assertEquals(List.of("0.00", "0.05", "0.10", "0.15", "0.20"), Scale.over(0, 0.176).labels());
    assertEquals(List.of("-10", "-5", "0", "5", "10"), Scale.over(-6.52, 6.05).labels());
    assertEquals(List.of("0", "500", "1000", "1500", "2000"), Scale.over(0, 2000).labels());
    assertEquals(List.of("3.00", "3.25", "3.50", "3.75", "4.00"), Scale.over(3, 4).labels());
  }

  @Test
  void axesHoldWhatTheyShow() {
    var draw = RandomGenerator.of("L64X128MixRandom");
    for (int i = 0; i < 1000; i++) {
      double low = draw.nextGaussian() * Math.pow(10, draw.nextInt(-6, 6));
      double high = low + Math.abs(draw.nextGaussian()) * Math.pow(10, draw.nextInt(-6, 6));
      Scale scale = Scale.over(low, high);
      double slack = 1e-6 * scale.step();
      assertTrue(scale.bottom() <= low + slack && high - slack <= scale.top(), scale.toString());
      assertTrue(scale.intervals() <= 6, scale.toString());
    }
    assertEquals(List.of("0.00", "0.25"), Scale.over(0, 0).labels());
  }
}
