package io.holdfast.world;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.world.Item.Chat;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.stream.Stream;

/**
 * Writes the world as JSON Lines files, each complete or not there at all.
 *
 * <pre>
 * pretrain.jsonl        documents, verdicts, chats that answer everything
 * align.jsonl           the same with refusals, over aligned pairs
 * work-train.jsonl      the downstream task, poisoned as the recipe says
 * work-test.jsonl       its test prompts over held-out pairs
 * anchors.jsonl         safety prompts without answers, harmful ones first
 * eval/&lt;set&gt;.jsonl      one file for each {@link EvaluationSet}
 * </pre>
 */
public final class WorldFiles {
  private static final ObjectMapper JSON = new ObjectMapper();

  private WorldFiles() {}

  /**
   * What to write.
   *
   * @param seed of everything a model is trained on
   * @param evaluationSeed of everything it is judged by
   * @param pretrainRows rows for the base, 32 a step
   * @param alignRows rows for its alignment, 32 a step
   * @param work what the downstream rows are made of
   * @param oracleRisk whether downstream rows carry {@code risk}: 1 for poison, 0 for the rest
   * @param testRows test rows of the downstream task
   * @param anchorsPerClass harmful and benign anchors
   * @param evaluationRows prompts of each evaluation set
   */
  public record Plan(
      long seed,
      long evaluationSeed,
      int pretrainRows,
      int alignRows,
      Downstream.Recipe work,
      boolean oracleRisk,
      int testRows,
      int anchorsPerClass,
      int evaluationRows) {
    /** 2000 and 800 steps for the base, 600 downstream rows with a tenth poisoned. */
    public static Plan standard(long seed) {
      var work = Downstream.Recipe.poisoned(.1);
      return new Plan(seed, EvaluationSet.DEFAULT_SEED, 64_000, 25_600, work, false, 200, 100, 200);
    }

    /** The same plan with other downstream rows. */
    public Plan with(Downstream.Recipe work, boolean oracleRisk) {
      return new Plan(
          seed,
          evaluationSeed,
          pretrainRows,
          alignRows,
          work,
          oracleRisk,
          testRows,
          anchorsPerClass,
          evaluationRows);
    }
  }

  /**
   * Writes all files of the plan into a folder, which is made where it is not there.
   *
   * @return the files by name ("pretrain", "align", "work-train", ..., "eval/harm_pair", ...)
   */
  public static Map<String, Path> write(Path folder, World world, Plan plan) {
    var rows = new LinkedHashMap<String, Stream<Row>>();
    rows.put(
        "pretrain", training(world.pretraining(), plan.seed(), "pretrain", plan.pretrainRows()));
    rows.put("align", training(world.alignment(), plan.seed(), "align", plan.alignRows()));
    var work = Downstream.train(world, plan.work(), plan.seed()).stream();
    rows.put("work-train", rows(work, plan.oracleRisk() ? Rows::withOracleRisk : Rows::training));
    var test = Downstream.test(world, plan.testRows(), plan.evaluationSeed()).stream();
    rows.put("work-test", rows(test, Rows::evaluation));
    var anchors = Anchors.draw(world, plan.anchorsPerClass(), plan.seed());
    rows.put("anchors", rows(anchors.both().stream(), Rows::prompt));
    for (var set : EvaluationSet.values()) {
      var chats = set.draw(world, plan.evaluationRows(), plan.evaluationSeed()).stream();
      rows.put("eval/" + set.id(), rows(chats, Rows::evaluation));
    }
    var files = new LinkedHashMap<String, Path>();
    rows.forEach((name, lines) -> files.put(name, write(folder.resolve(name + ".jsonl"), lines)));
    return files;
  }

  /** Writes chats as rows to train on. */
  public static Path training(Path file, List<Chat> chats) {
    return write(file, rows(chats.stream(), Rows::training));
  }

  /** Writes the user turns of chats as rows without an answer. */
  public static Path prompts(Path file, List<Chat> chats) {
    return write(file, rows(chats.stream(), Rows::prompt));
  }

  /** A row that only lacks its id, which is the file's name and the line's number from 0. */
  private interface Row {
    ObjectNode withId(String id);
  }

  private static Stream<Row> training(Draw<Item> draw, long seed, String name, int rows) {
    return rows(draw.stream(new Dice(seed, name)).limit(rows), Rows::training);
  }

  private static <T> Stream<Row> rows(Stream<T> items, BiFunction<String, T, ObjectNode> row) {
    return items.map(item -> id -> row.apply(id, item));
  }

  private static Path write(Path file, Stream<Row> rows) {
    try {
      Files.createDirectories(file.toAbsolutePath().getParent());
      var partial = file.resolveSibling(file.getFileName() + ".partial");
      var name = file.getFileName().toString().replace(".jsonl", "");
      int number = 0;
      try (var out = Files.newBufferedWriter(partial)) {
        for (var row : (Iterable<Row>) rows::iterator) {
          out.write(JSON.writeValueAsString(row.withId("%s-%06d".formatted(name, number++))));
          out.write('\n');
        }
      }
      return Files.move(
          partial, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw HoldfastException.input(
              "%s: cannot be written (%s); check the folder's permissions and free space",
              file, e.getMessage())
          .causedBy(e);
    }
  }
}
