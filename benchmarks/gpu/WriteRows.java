import io.holdfast.world.Downstream;
import io.holdfast.world.World;
import io.holdfast.world.WorldFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Writes the rows of the guarded steps: {@code work-train.jsonl} with risks, and the anchors,
 * harmful ones first, as {@code harmful.jsonl} and {@code benign.jsonl}.
 */
class WriteRows {
  private static final int ANCHORS = 40;

  public static void main(String[] arguments) throws IOException {
    var folder = Path.of(arguments[0]);
    var work = Downstream.Recipe.poisoned(.1);
    var plan = new WorldFiles.Plan(1, 1, 1, 1, work, true, 1, ANCHORS, 1);
    var anchors = Files.readAllLines(WorldFiles.write(folder, World.load(), plan).get("anchors"));
    Files.write(folder.resolve("harmful.jsonl"), anchors.subList(0, ANCHORS));
    Files.write(folder.resolve("benign.jsonl"), anchors.subList(ANCHORS, anchors.size()));
  }
}
