package io.holdfast.train;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.data.Example;
import io.holdfast.geometry.Interference;
import io.holdfast.guard.RepresentationDrift;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.model.Decoder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * The drift report of a run, as lines of JSON: a line for each layer and position with how the
 * states of safety prompts moved, and how much the task's gradient interferes there.
 */
public final class DriftLines implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final RepresentationDrift drift;
  private final SafetySubspace subspace;
  private final List<Example> task;

  /**
   * A report on runs from one reference; it closes the subspace with itself.
   *
   * @param task rows whose gradient is looked at; none for no interference
   */
  public DriftLines(
      Decoder reference,
      SafetySubspace subspace,
      List<Example> harmful,
      List<Example> benign,
      List<Example> task) {
    this.drift = new RepresentationDrift(reference, subspace, harmful, benign);
    this.subspace = subspace;
    this.task = task;
  }

  /** The lines of one checkpoint; figures that are not finite are null. */
  public List<ObjectNode> of(Decoder checkpoint) {
    var interference =
        task.isEmpty()
            ? Collections.<Integer, Interference.Shares>emptyMap()
            : Interference.of(checkpoint, task, subspace.directions());
    var lines = new ArrayList<ObjectNode>();
    for (var found : drift.of(checkpoint)) {
      var line = JSON.createObjectNode();
      line.put("position", found.position()).put("layer", found.layer());
      found.figures().forEach((name, value) -> put(line, name, value));
      if (!task.isEmpty()) {
        put(line, "interference", interference.get(found.layer()).normalised());
      }
      lines.add(line);
    }
    return lines;
  }

  @Override
  public void close() {
    subspace.close();
  }

  private static void put(ObjectNode line, String name, double value) {
    if (Double.isFinite(value)) {
      line.put(name, value);
    } else {
      line.putNull(name);
    }
  }
}
