package io.holdfast.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.function.LongFunction;
import java.util.function.Supplier;

/** The pieces of a decoder's block in a native library that speaks {@code holdfast.h}. */
final class NativeBlockKernels implements BlockKernels {
  private static final MethodHandle RMS_NORM =
      NativeFunctions.handle(
          JAVA_INT, ADDRESS, ADDRESS, JAVA_DOUBLE, JAVA_INT, ADDRESS, ADDRESS, ADDRESS);
  private static final MethodHandle RMS_NORM_SCRATCH =
      NativeFunctions.handle(JAVA_LONG, JAVA_LONG, JAVA_LONG);
  private static final MethodHandle RMS_NORM_BACKWARD =
      NativeFunctions.handle(
          JAVA_INT, ADDRESS, ADDRESS, JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
          ADDRESS);
  private static final MethodHandle ROTATE =
      NativeFunctions.handle(JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS, JAVA_INT, ADDRESS);
  private static final MethodHandle GATE =
      NativeFunctions.handle(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT, ADDRESS, ADDRESS);
  private static final MethodHandle GATE_BACKWARD =
      NativeFunctions.handle(
          JAVA_INT, ADDRESS, ADDRESS, JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS);

  private final NativeFunctions functions;
  private final Supplier<MemorySegment> stream;
  private final LongFunction<MemorySegment> scratch;
  private final MemorySegment rmsNorm;
  private final MemorySegment rmsNormScratch;
  private final MemorySegment rmsNormBackward;
  private final MemorySegment rotate;
  private final MemorySegment gate;
  private final MemorySegment gateBackward;

  /**
   * Binds a library.
   *
   * @param functions of the same library, which explain what failed
   * @param scratch gives this thread's memory of at least so many bytes
   */
  NativeBlockKernels(
      SymbolLookup library,
      NativeFunctions functions,
      Supplier<MemorySegment> stream,
      LongFunction<MemorySegment> scratch) {
    this.functions = functions;
    this.stream = stream;
    this.scratch = scratch;
    rmsNorm = NativeFunctions.find(library, "hf_rms_norm");
    rmsNormScratch = NativeFunctions.find(library, "hf_rms_norm_scratch");
    rmsNormBackward = NativeFunctions.find(library, "hf_rms_norm_backward");
    rotate = NativeFunctions.find(library, "hf_rotate");
    gate = NativeFunctions.find(library, "hf_gate");
    gateBackward = NativeFunctions.find(library, "hf_gate_backward");
  }

  @Override
  public void rmsNorm(
      Matrix x, Matrix w, double eps, boolean onePlus, Matrix y, MemorySegment inverse) {
    try (var arena = Arena.ofConfined()) {
      functions.check(
          (int)
              RMS_NORM.invokeExact(
                  rmsNorm,
                  NativeKernels.struct(arena, x),
                  NativeKernels.struct(arena, w),
                  eps,
                  onePlus ? 1 : 0,
                  NativeKernels.struct(arena, y),
                  NativeKernels.vector("inverse", inverse, x.rows(), Float.BYTES),
                  stream.get()));
    } catch (Throwable e) {
      throw NativeFunctions.unchecked(e);
    }
  }

  @Override
  public void rmsNormBackward(
      Matrix x,
      Matrix w,
      boolean onePlus,
      MemorySegment inverse,
      Matrix g,
      Matrix dx,
      MemorySegment dw) {
    try (var arena = Arena.ofConfined()) {
      long bytes =
          dw == null
              ? 0
              : functions.bytes(
                  (long) RMS_NORM_SCRATCH.invokeExact(rmsNormScratch, x.rows(), x.columns()));
      functions.check(
          (int)
              RMS_NORM_BACKWARD.invokeExact(
                  rmsNormBackward,
                  NativeKernels.struct(arena, x),
                  NativeKernels.struct(arena, w),
                  onePlus ? 1 : 0,
                  NativeKernels.vector("inverse", inverse, x.rows(), Float.BYTES),
                  NativeKernels.struct(arena, g),
                  NativeKernels.struct(arena, dx),
                  NativeKernels.vector("dw", dw, x.columns(), Float.BYTES),
                  scratch.apply(bytes),
                  stream.get()));
    } catch (Throwable e) {
      throw NativeFunctions.unchecked(e);
    }
  }

  @Override
  public void rotate(Matrix x, long head, Matrix cos, Matrix sin, boolean backward) {
    try (var arena = Arena.ofConfined()) {
      functions.check(
          (int)
              ROTATE.invokeExact(
                  rotate,
                  NativeKernels.struct(arena, x),
                  head,
                  NativeKernels.struct(arena, cos),
                  NativeKernels.struct(arena, sin),
                  backward ? 1 : 0,
                  stream.get()));
    } catch (Throwable e) {
      throw NativeFunctions.unchecked(e);
    }
  }

  @Override
  public void gate(Matrix a, Matrix b, Activation activation, Matrix y) {
    try (var arena = Arena.ofConfined()) {
      functions.check(
          (int)
              GATE.invokeExact(
                  gate,
                  NativeKernels.struct(arena, a),
                  NativeKernels.struct(arena, b),
                  activation.ordinal(),
                  NativeKernels.struct(arena, y),
                  stream.get()));
    } catch (Throwable e) {
      throw NativeFunctions.unchecked(e);
    }
  }

  @Override
  public void gateBackward(
      Matrix a, Matrix b, Activation activation, Matrix g, Matrix da, Matrix db) {
    try (var arena = Arena.ofConfined()) {
      functions.check(
          (int)
              GATE_BACKWARD.invokeExact(
                  gateBackward,
                  NativeKernels.struct(arena, a),
                  NativeKernels.struct(arena, b),
                  activation.ordinal(),
                  NativeKernels.struct(arena, g),
                  NativeKernels.struct(arena, da),
                  NativeKernels.struct(arena, db),
                  stream.get()));
    } catch (Throwable e) {
      throw NativeFunctions.unchecked(e);
    }
  }
}
