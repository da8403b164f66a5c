package io.holdfast.torch;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Operations in closed form beside the same in LibTorch's own. */
class ClosedFormTest {
  private final ClosedForm forms = new ClosedForm();
  private Scope scope;

  @BeforeEach
  void open() {
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    forms.close();
    scope.close();
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private static Tensor leaf(float... values) {
    return Tensors.of(values, values.length).requires_grad_(true);
  }

  private static Tensor plainCube(Tensor x) {
    return x.mul(x).mul(x);
  }

  /** {@code x^3}; the tensors that it makes do not outlive its scope in Java. */
  private Tensor cube(Tensor x) {
    try (var inner = Scope.open()) {
      Tensor input = x.detach();
      Tensor output;
      try (var noGrad = NoGrad.on()) {
        output = plainCube(input);
      }
      return inner.keep(
          forms.record(x, output, g -> g.mul(input).mul(input).mul(new Scalar(3)), input));
    }
  }

  private Tensor product(Tensor a, Tensor b) {
    var first = a.detach();
    var second = b.detach();
    return forms.record(
        a,
        b,
        first.mul(second),
        g -> new ClosedForm.Pair(g.mul(second), g.mul(first)),
        first,
        second);
  }

  @Test
  void aChainOfThem() {
    var x = leaf(0.5f, -2, 3);
    var y = leaf(0.5f, -2, 3);
    cube(cube(x).add(x)).mul(x).sum().backward();
    plainCube(plainCube(y).add(y)).mul(y).sum().backward();
    assertArrayEquals(Tensors.floats(y.grad()), Tensors.floats(x.grad()), 1e-2f);
    assertTrue(Tensors.floats(x.grad())[1] != 0);
  }

  @Test
  void oneThatReadsTwo() {
    var a = leaf(1, 2, 3);
    var b = leaf(-4, 5, 6);
    var twice = b.mul(new Scalar(2));
    product(a.mul(new Scalar(3)), twice).add(twice).sum().backward();
    // 3 a 2 b + 2 b
    assertArrayEquals(new float[] {-24, 30, 36}, Tensors.floats(a.grad()));
    assertArrayEquals(new float[] {8, 14, 20}, Tensors.floats(b.grad()));
  }

  @Test
  void oneInPlace() {
    var x = leaf(1, 2, 3);
    var doubled = x.mul(new Scalar(2));
    try (var noGrad = NoGrad.on()) {
      doubled.detach().mul_(new Scalar(5));
    }
    forms
        .recordInPlace(doubled, g -> g.mul(new Scalar(5)))
        .mul(Tensors.of(new float[] {1, 10, 100}, 3))
        .sum()
        .backward();
    assertArrayEquals(new float[] {10, 20, 30}, Tensors.floats(doubled));
    assertArrayEquals(new float[] {10, 100, 1000}, Tensors.floats(x.grad()));
  }

  @Test
  void aPassThatIsOverIsRefused() {
    var x = leaf(1, 2);
    var y = cube(x).sum();
    forms.close();
    assertThrows(RuntimeException.class, y::backward);
    assertFalse(x.grad().defined());
  }

  @Test
  void nothingIsRecordedWhereNobodyAsks() {
    var x = leaf(1, 2);
    assertTrue(ClosedForm.records(x));
    assertFalse(ClosedForm.records(x.detach()));
    try (var noGrad = NoGrad.on()) {
      assertFalse(ClosedForm.records(x));
    }
  }
}
