package io.holdfast.torch;

import static org.bytedeco.pytorch.global.torch.from_blob;

import io.holdfast.kernels.DType;
import io.holdfast.kernels.Matrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.DeviceOptional;
import org.bytedeco.pytorch.LayoutOptional;
import org.bytedeco.pytorch.MemoryFormatOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * Tensors from Java values and memory, and tensors seen as memory. They are made on the {@link
 * ComputeDevice} of the process where nothing else is said.
 */
public final class Tensors {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
  private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

  static {
    LibTorch.ready();
  }

  private Tensors() {}

  /** An uninitialised float32 tensor. */
  public static Tensor empty(long... shape) {
    return empty(ScalarType.Float, shape);
  }

  /** An uninitialised tensor. */
  public static Tensor empty(ScalarType type, long... shape) {
    return torch.empty(
        shape,
        new ScalarTypeOptional(type),
        new LayoutOptional(),
        ComputeDevice.current().option(),
        new BoolOptional(),
        new MemoryFormatOptional());
  }

  /** An uninitialised tensor in host memory, whatever the device. */
  public static Tensor emptyOnHost(ScalarType type, long... shape) {
    return torch.empty(
        shape,
        new ScalarTypeOptional(type),
        new LayoutOptional(),
        new DeviceOptional(),
        new BoolOptional(),
        new MemoryFormatOptional());
  }

  /** A float32 tensor of zeros. */
  public static Tensor zeros(long... shape) {
    return empty(ScalarType.Float, shape).zero_();
  }

  /** The int64 numbers {@code from..to-1}. */
  public static Tensor range(long from, long to) {
    return placed(torch.arange(new Scalar(from), new Scalar(to)));
  }

  /** The tensor on the device of the process: itself where it lies there already. */
  public static Tensor placed(Tensor tensor) {
    return ComputeDevice.current().place(tensor);
  }

  /** The tensor in host memory: itself where it lies there already. */
  public static Tensor onHost(Tensor tensor) {
    return tensor.device().is_cpu() ? tensor : tensor.to(new Device("cpu"), tensor.scalar_type());
  }

  /** A tensor with a copy of these values. */
  public static Tensor of(float[] values, long... shape) {
    return placed(onHost(values, shape));
  }

  /** A tensor in host memory with a copy of these values, whatever the device. */
  public static Tensor onHost(float[] values, long... shape) {
    var tensor = emptyOnHost(ScalarType.Float, shape);
    MemorySegment.copy(values, 0, memory(tensor), FLOAT, 0, values.length);
    return tensor;
  }

  /** A float64 tensor with a copy of these values. */
  public static Tensor of(double[] values, long... shape) {
    var tensor = emptyOnHost(ScalarType.Double, shape);
    MemorySegment.copy(values, 0, memory(tensor), DOUBLE, 0, values.length);
    return placed(tensor);
  }

  /** An int64 tensor with a copy of these values. */
  public static Tensor of(long[] values, long... shape) {
    var tensor = emptyOnHost(ScalarType.Long, shape);
    MemorySegment.copy(values, 0, memory(tensor), LONG, 0, values.length);
    return placed(tensor);
  }

  /**
   * A float64 matrix with a copy of these rows, which have one length, for linear algebra: it lies
   * in host memory whatever the device.
   */
  public static Tensor of(double[][] rows) {
    int width = rows[0].length;
    var tensor = emptyOnHost(ScalarType.Double, rows.length, width);
    var memory = memory(tensor);
    for (int i = 0; i < rows.length; i++) {
      MemorySegment.copy(rows[i], 0, memory, DOUBLE, 8L * i * width, width);
    }
    return tensor;
  }

  /** A boolean tensor with a copy of these values. */
  public static Tensor of(boolean[] values, long... shape) {
    var tensor = emptyOnHost(ScalarType.Bool, shape);
    var memory = memory(tensor);
    for (int i = 0; i < values.length; i++) {
      memory.set(ValueLayout.JAVA_BYTE, i, (byte) (values[i] ? 1 : 0));
    }
    return placed(tensor);
  }

  /** A copy of a tensor's values in another type, without its history. */
  public static Tensor copy(Tensor tensor, DType dtype) {
    return tensor.detach().to(scalarType(dtype), false, true, new MemoryFormatOptional());
  }

  /** The values of a float32 tensor, in row-major order. */
  public static float[] floats(Tensor tensor) {
    try (var scope = Scope.open()) {
      var dense = onHost(tensor.detach().to(ScalarType.Float)).contiguous();
      float[] values = new float[Math.toIntExact(dense.numel())];
      MemorySegment.copy(memory(dense), FLOAT, 0, values, 0, values.length);
      return values;
    }
  }

  /** The values of a float64 tensor, in row-major order. */
  public static double[] doubles(Tensor tensor) {
    try (var scope = Scope.open()) {
      var dense = onHost(tensor.detach().to(ScalarType.Double)).contiguous();
      double[] values = new double[Math.toIntExact(dense.numel())];
      MemorySegment.copy(memory(dense), DOUBLE, 0, values, 0, values.length);
      return values;
    }
  }

  /** The values of an int64 tensor, in row-major order. */
  public static long[] longs(Tensor tensor) {
    try (var scope = Scope.open()) {
      var dense = onHost(tensor).contiguous();
      long[] values = new long[Math.toIntExact(dense.numel())];
      MemorySegment.copy(memory(dense), LONG, 0, values, 0, values.length);
      return values;
    }
  }

  /**
   * A tensor that shares this memory, which is the host's. The memory must outlive the tensor, and
   * must not be written through it when it is a read-only mapping.
   */
  public static Tensor sharing(MemorySegment memory, DType dtype, long... shape) {
    return from_blob(new Address(memory.address()), shape, new TensorOptions(scalarType(dtype)));
  }

  /**
   * The memory of a contiguous tensor; valid as long as the tensor. On a GPU it is for kernels
   * alone: reading it here ends the process.
   *
   * @throws IllegalArgumentException if the tensor is strided
   */
  public static MemorySegment memory(Tensor tensor) {
    if (!tensor.is_contiguous()) {
      throw new IllegalArgumentException("only a contiguous tensor is one piece of memory");
    }
    return MemorySegment.ofAddress(tensor.data_ptr().address())
        .reinterpret(Math.multiplyExact(tensor.numel(), tensor.itemsize()));
  }

  /**
   * The values of a tensor in host memory that may be read: its own memory where it lies there,
   * valid as long as the tensor, else a copy.
   */
  public static MemorySegment hostMemory(Tensor tensor) {
    if (tensor.device().is_cpu()) {
      return memory(tensor);
    }
    try (var scope = Scope.open()) {
      var copied = memory(onHost(tensor.detach()).contiguous());
      var kept = Arena.ofAuto().allocate(Math.max(1, copied.byteSize()), Long.BYTES);
      return kept.copyFrom(copied).asSlice(0, copied.byteSize());
    }
  }

  /** A contiguous tensor as the matrix {@code [product of leading dimensions, last dimension]}. */
  public static Matrix matrix(Tensor tensor) {
    long columns = tensor.dim() == 0 ? 1 : tensor.size(-1);
    long rows = columns == 0 ? 0 : tensor.numel() / columns;
    return Matrix.dense(memory(tensor), rows, columns, dtype(tensor.scalar_type()));
  }

  /**
   * Whether a tensor is the matrix {@code [product of leading dimensions, last dimension]} with one
   * stride between its rows.
   */
  public static boolean hasRows(Tensor tensor) {
    int last = Math.toIntExact(tensor.dim()) - 1;
    if (tensor.is_contiguous()) {
      return true;
    }
    if (last < 1 || tensor.stride(last) != 1 || tensor.stride(last - 1) < tensor.size(last)) {
      return false;
    }
    for (int i = last - 2; i >= 0; i--) {
      if (tensor.size(i) != 1 && tensor.stride(i) != tensor.stride(i + 1) * tensor.size(i + 1)) {
        return false;
      }
    }
    return true;
  }

  /** A tensor that {@linkplain #hasRows has rows} as that matrix. */
  public static Matrix rows(Tensor tensor) {
    if (tensor.is_contiguous()) {
      return matrix(tensor);
    }
    if (!hasRows(tensor)) {
      throw new IllegalArgumentException("rows with more than one stride are no matrix");
    }
    long columns = tensor.size(-1);
    long rows = columns == 0 ? 0 : tensor.numel() / columns;
    long stride = tensor.stride(-2);
    long elements = rows == 0 ? 0 : (rows - 1) * stride + columns;
    return new Matrix(
        MemorySegment.ofAddress(tensor.data_ptr().address())
            .reinterpret(Math.multiplyExact(elements, tensor.itemsize())),
        rows,
        columns,
        stride,
        dtype(tensor.scalar_type()));
  }

  /** LibTorch's name of an element type. */
  public static ScalarType scalarType(DType dtype) {
    return switch (dtype) {
      case FLOAT32 -> ScalarType.Float;
      case BFLOAT16 -> ScalarType.BFloat16;
      case FLOAT16 -> ScalarType.Half;
      case FLOAT64 -> ScalarType.Double;
      case INT64 -> ScalarType.Long;
      case INT32 -> ScalarType.Int;
      case INT16 -> ScalarType.Short;
      case INT8 -> ScalarType.Char;
      case UINT8 -> ScalarType.Byte;
      case BOOL -> ScalarType.Bool;
    };
  }

  /** Our name of LibTorch's element type. */
  public static DType dtype(ScalarType type) {
    return switch (type.intern()) {
      case Float -> DType.FLOAT32;
      case BFloat16 -> DType.BFLOAT16;
      case Half -> DType.FLOAT16;
      case Double -> DType.FLOAT64;
      case Long -> DType.INT64;
      case Int -> DType.INT32;
      case Short -> DType.INT16;
      case Char -> DType.INT8;
      case Byte -> DType.UINT8;
      case Bool -> DType.BOOL;
      default -> throw new IllegalArgumentException("no kernel works on " + type);
    };
  }

  /** Whether a tensor is float32. Types that LibTorch hands out are not to be compared by ==. */
  public static boolean isFloat(Tensor tensor) {
    return dtype(tensor.scalar_type()) == DType.FLOAT32;
  }

  /** The shape of a tensor. */
  public static long[] shape(Tensor tensor) {
    long[] shape = new long[Math.toIntExact(tensor.dim())];
    for (int i = 0; i < shape.length; i++) {
      shape[i] = tensor.size(i);
    }
    return shape;
  }

  /** An address that nobody frees. */
  static final class Address extends Pointer {
    Address(long address) {
      super((Pointer) null);
      this.address = address;
    }
  }
}
