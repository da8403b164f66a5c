package io.holdfast.torch;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.Edge;
import org.bytedeco.pytorch.GradMode;
import org.bytedeco.pytorch.Node;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorBase;
import org.bytedeco.pytorch.TensorTensorHook;
import org.bytedeco.pytorch.global.torch;

/**
 * Operations of one forward pass that LibTorch does not know, with their way back in closed form.
 *
 * <p>LibTorch's functions cannot be subclassed from Java, and JavaCPP has only a handful of
 * callbacks. So each operation borrows a node that hands its gradient on as it is, and one hook,
 * shared by all, turns the gradient of what came out into that of what went in before the node sees
 * it. The node that autograd has come to tells which operation that is. Operations that were not
 * gone back through are forgotten with the pass.
 */
public final class ClosedForm implements AutoCloseable {
  private static final Map<Long, Operation> OPERATIONS = new ConcurrentHashMap<>();
  private static final Hook HOOK;

  static {
    LibTorch.ready();
    HOOK = new Hook();
  }

  private final TensorOwner owner = new TensorOwner();
  private final List<Long> nodes = new ArrayList<>();
  private Tensor handedOver;

  private record Operation(ClosedForm pass, UnaryOperator<Tensor> backward, Tensor[] saved) {}

  /** The gradients of the two tensors that an operation reads. */
  public record Pair(Tensor first, Tensor second) {}

  /** The way back through an operation of two tensors. */
  @FunctionalInterface
  public interface PairBackward {
    /** From the gradient of what came out to those of what went in. */
    Pair apply(Tensor gradient);
  }

  /** Whether autograd would record an operation on a tensor now. */
  public static boolean records(Tensor input) {
    return GradMode.is_enabled() && input.requires_grad();
  }

  /**
   * Makes a tensor the outcome of an operation.
   *
   * @param input what was read, of the same shape
   * @param output what was computed of it, without a history
   * @param backward from the gradient of the output to that of the input, once; in a scope of its
   *     own, without recording
   * @param saved tensors that {@code backward} reads, without a history; they live until then
   * @return the output, whose hooks see its own gradient
   */
  public Tensor record(
      Tensor input, Tensor output, UnaryOperator<Tensor> backward, Tensor... saved) {
    attach(input.alias().grad_fn(), output, backward, saved);
    return output.alias();
  }

  /** The same for an operation that wrote its outcome over its input, whose way back is given. */
  public Tensor recordInPlace(Tensor input, UnaryOperator<Tensor> backward, Tensor... saved) {
    var output = input.alias();
    listen(output, backward, saved);
    return output.alias();
  }

  /** The same for an operation of two tensors of one shape. */
  public Tensor record(
      Tensor first, Tensor second, Tensor output, PairBackward backward, Tensor... saved) {
    // The node of a sum hands the first one's gradient to both; the second one's takes its place on
    // its way.
    var one = torch.ones(1).requires_grad_(true);
    var node = one.add(one, new Scalar(1)).grad_fn();
    var way = second.alias();
    node.set_next_edge(0, edge(first.alias()));
    node.set_next_edge(1, edge(way));
    var exchanged = new Tensor[1];
    attach(
        node,
        output,
        gradient -> {
          var pair = backward.apply(gradient);
          exchanged[0] = owner.own(new Tensor(pair.second()));
          return pair.first();
        },
        saved);
    listen(
        way,
        gradient -> {
          var taken = new Tensor(exchanged[0]);
          owner.release(exchanged[0]);
          return taken;
        });
    return output.alias();
  }

  private static Edge edge(Tensor tensor) {
    return new Edge(tensor.grad_fn(), Math.toIntExact(tensor.output_nr()));
  }

  private void attach(Node node, Tensor output, UnaryOperator<Tensor> backward, Tensor... saved) {
    node.clear_input_metadata();
    torch.create_gradient_edge(output, node);
    listen(output, backward, saved);
  }

  private void listen(Tensor output, UnaryOperator<Tensor> backward, Tensor... saved) {
    for (var tensor : saved) {
      owner.own(tensor);
    }
    long node = output.grad_fn().address();
    OPERATIONS.put(node, new Operation(this, backward, saved));
    nodes.add(node);
    output.register_hook(HOOK);
  }

  /** Forgets what was not gone back through. */
  @Override
  public void close() {
    nodes.forEach(node -> OPERATIONS.computeIfPresent(node, (_, o) -> o.pass == this ? null : o));
    owner.close();
  }

  private Tensor back(Operation operation, Tensor gradient) {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var made = owner.own(new Tensor(operation.backward().apply(gradient)));
      // Autograd has taken the one before over by now.
      if (handedOver != null) {
        owner.release(handedOver);
      }
      handedOver = made;
      for (var tensor : operation.saved()) {
        owner.release(tensor);
      }
      return made;
    }
  }

  /** Lives as long as the process: LibTorch keeps only a pointer to it. */
  private static final class Hook extends TensorTensorHook {
    Hook() {
      retainReference();
    }

    @Override
    public TensorBase call(TensorBase gradient) {
      try (var scope = Scope.open()) {
        var operation = OPERATIONS.remove(torch.get_current_node().address());
        if (operation == null) {
          throw new IllegalStateException("a pass that is over, or a second way back through it");
        }
        return operation.pass().back(operation, new Tensor(gradient));
      }
    }
  }
}
