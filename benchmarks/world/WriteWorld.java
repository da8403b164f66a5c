import io.holdfast.world.World;
import io.holdfast.world.WorldFiles;
import java.nio.file.Path;

/**
 * Writes the standard world's files: {@code java -cp 'target/classes:target/lib/*'
 * benchmarks/world/WriteWorld.java FOLDER SEED}, after {@code mvn package}. The committed tokenizer
 * was trained on seed 1.
 */
class WriteWorld {
  public static void main(String[] arguments) {
    var plan = WorldFiles.Plan.standard(Long.parseLong(arguments[1]));
    WorldFiles.write(Path.of(arguments[0]), World.load(), plan)
        .values()
        .forEach(System.out::println);
  }
}
