package io.holdfast.attack;

import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import org.bytedeco.pytorch.LongOptional;

/** Whether a model that decodes greedily would say a prompt's target. */
record GreedyCheck(Decoder model, AttackPrompt prompt) {
  boolean predicted(int[] string) {
    int[] fed = prompt.fed(string);
    int target = prompt.target().length;
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var ids = Tensors.of(Arrays.stream(fed).asLongStream().toArray(), 1, fed.length);
      var hidden = model.forward(Tokens.rightPadded(ids), AdapterMode.ON, Tap.NONE);
      var logits = model.logits(hidden.select(0, 0).narrow(0, fed.length - target, target));
      long[] wanted = Arrays.stream(prompt.target()).asLongStream().toArray();
      return Arrays.equals(Tensors.longs(logits.argmax(new LongOptional(1), false)), wanted);
    }
  }
}
