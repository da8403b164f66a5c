package io.holdfast.train;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.checkpoint.AtomicFolder;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.checkpoint.SafetensorsWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The checkpoints of a run, {@code checkpoints/step-N/}: a folder that {@code transformers} or
 * {@code peft} loads, with the optimizer's moments, its float32 masters where the model computes in
 * another type, and the step beside it. Each is complete or not there.
 */
public final class Checkpoints {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String STATE = "trainer_state.json";
  private static final String MOMENTS = "optimizer.safetensors";
  private static final String MASTER = "master.";
  private static final String INTERIM = "interim";

  private final Path folder;
  private final int keep;

  /** Writes and reads what is trained: the whole model or an adapter. */
  public interface Model {
    /** Writes into an existing folder. */
    void write(Path folder);

    /** Overwrites the weights in memory by those of a folder. */
    void read(Path folder);
  }

  /**
   * Checkpoints below a run folder.
   *
   * @param keep how many are kept, the oldest go first; 0 for all
   */
  public Checkpoints(Path runFolder, int keep) {
    this.folder = runFolder.resolve("checkpoints");
    this.keep = keep;
  }

  /**
   * Saves a step, then removes what is too many.
   *
   * @param interim whether it is only there to go on from: it goes when the next is saved, so that
   *     an interrupted run leaves the checkpoints of one that was not
   */
  public Path save(Model model, Adamw optimizer, ObjectNode state, boolean interim) {
    long step = optimizer.steps();
    var target = folder.resolve("step-" + step);
    try (var building = AtomicFolder.create(target)) {
      model.write(building.path());
      var moments = new ArrayList<>(TensorState.entries("exp_avg.", optimizer.firstMoments()));
      moments.addAll(TensorState.entries("exp_avg_sq.", optimizer.secondMoments()));
      moments.addAll(TensorState.entries(MASTER, optimizer.masters()));
      SafetensorsWriter.write(building.path().resolve(MOMENTS), moments, Map.of());
      state.put("step", step).put(INTERIM, interim);
      AtomicFile.write(building.path().resolve(STATE), state.toPrettyString() + "\n");
      building.commit();
    }
    steps().stream()
        .map(old -> folder.resolve("step-" + old))
        .filter(old -> !old.equals(target) && interim(old))
        .forEach(AtomicFolder::delete);
    if (keep > 0) {
      var all = steps();
      all.subList(0, Math.max(0, all.size() - keep))
          .forEach(old -> AtomicFolder.delete(folder.resolve("step-" + old)));
    }
    return target;
  }

  /** The latest complete checkpoint. */
  public Optional<Path> latest() {
    AtomicFolder.recoverAll(folder);
    var all = steps();
    return all.isEmpty() ? Optional.empty() : Optional.of(folder.resolve("step-" + all.getLast()));
  }

  /** All complete checkpoints, the oldest first. */
  public List<Path> all() {
    AtomicFolder.recoverAll(folder);
    return steps().stream().map(step -> folder.resolve("step-" + step)).toList();
  }

  /**
   * Goes on from a checkpoint.
   *
   * @return its state
   * @throws HoldfastException if it belongs to a run with other parameters
   */
  public static ObjectNode restore(Path checkpoint, Model model, Adamw optimizer) {
    var state = state(checkpoint);
    model.read(checkpoint);
    try (var moments = Safetensors.open(checkpoint.resolve(MOMENTS))) {
      TensorState.restore(
          checkpoint, moments::names, moments::get, "exp_avg.", optimizer.firstMoments());
      TensorState.restore(
          checkpoint, moments::names, moments::get, "exp_avg_sq.", optimizer.secondMoments());
      boolean rounded = moments.names().stream().anyMatch(name -> name.startsWith(MASTER));
      if (rounded == optimizer.masters().isEmpty()) {
        throw HoldfastException.input(
            "%s: this checkpoint is of a run with precision: %s; go on with that",
            checkpoint, rounded ? "bfloat16" : "float32");
      }
      TensorState.restore(checkpoint, moments::names, moments::get, MASTER, optimizer.masters());
    }
    optimizer.resume(state.get("step").asLong());
    return state;
  }

  /** What a checkpoint says of itself. */
  public static ObjectNode state(Path checkpoint) {
    var file = checkpoint.resolve(STATE);
    try {
      if (JSON.readTree(file.toFile()) instanceof ObjectNode state && state.has("step")) {
        return state;
      }
      throw HoldfastException.input("%s: this is not the state of a run", file);
    } catch (IOException e) {
      throw HoldfastException.input(
          "%s: cannot be read (%s); resume from another checkpoint", file, e.getMessage());
    }
  }

  private static boolean interim(Path checkpoint) {
    return Files.isRegularFile(checkpoint.resolve(STATE))
        && state(checkpoint).path(INTERIM).asBoolean();
  }

  /** Steps with a checkpoint, ascending. */
  private List<Long> steps() {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> entries = Files.list(folder)) {
      return entries
          .map(path -> path.getFileName().toString())
          .filter(name -> name.matches("step-\\d+"))
          .map(name -> Long.parseLong(name.substring("step-".length())))
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
