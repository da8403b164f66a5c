package io.holdfast.bench;

import io.holdfast.torch.ComputeDevice;
import java.util.ArrayList;
import java.util.List;

/** How long work takes on the device. */
final class Timing {
  private static final int FEWEST = 5;

  private Timing() {}

  /**
   * The medians of several pieces of work in seconds, run in turns so that whatever else the
   * machine does falls on all of them alike. Each runs once before the clock starts.
   *
   * @param budget seconds to spend on each, unless fewer than five runs fit
   */
  static List<Double> medians(double budget, List<Runnable> work) {
    work.forEach(Runnable::run);
    List<List<Double>> runs = new ArrayList<>();
    work.forEach(piece -> runs.add(new ArrayList<>()));
    double spent = 0;
    while (runs.getFirst().size() < FEWEST || spent < budget * work.size()) {
      for (int i = 0; i < work.size(); i++) {
        double seconds = ComputeDevice.current().seconds(work.get(i));
        runs.get(i).add(seconds);
        spent += seconds;
      }
    }
    return runs.stream().map(Timing::median).toList();
  }

  static double median(List<Double> values) {
    var sorted = values.stream().sorted().toList();
    int middle = sorted.size() / 2;
    return sorted.size() % 2 == 1
        ? sorted.get(middle)
        : (sorted.get(middle - 1) + sorted.get(middle)) / 2;
  }
}
