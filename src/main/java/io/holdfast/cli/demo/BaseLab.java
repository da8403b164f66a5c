package io.holdfast.cli.demo;

import io.holdfast.train.Progress;
import io.holdfast.world.*;
import java.nio.file.Path;

public final class BaseLab {
  public static void main(String[] a) {
    long seed = Long.parseLong(a[1]);
    var dir = Path.of(a[0]);
    var r = new BaseModel.Recipe(Integer.parseInt(a[2]), Integer.parseInt(a[3]));
    var std = WorldFiles.Plan.standard(seed);
    WorldFiles.write(dir.resolve("data"), World.load(), new WorldFiles.Plan(seed, std.evaluationSeed(), r.pretrainSteps() * 32, r.alignSteps() * 32, std.work(), false, 200, 200, 200));
    System.out.println(BaseModel.train(dir, dir.resolve("data"), r, seed, Progress.Style.LINES));
    System.exit(0);
  }
}
