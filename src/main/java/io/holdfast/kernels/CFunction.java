package io.holdfast.kernels;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Optional;

/** A C function that returns an int and is called a few times: for settings, not for work. */
public record CFunction(MemorySegment address) {
  /** A function of the C library, where it has one of that name. */
  public static Optional<CFunction> standard(String name) {
    return of(Linker.nativeLinker().defaultLookup(), name);
  }

  /** A function of a library, where it has one of that name. */
  public static Optional<CFunction> of(SymbolLookup library, String name) {
    return library.find(name).map(CFunction::new);
  }

  /**
   * Calls it.
   *
   * @param arguments ints and pointers
   */
  public int call(Object... arguments) {
    var layouts = Arrays.stream(arguments).map(CFunction::layout).toArray(MemoryLayout[]::new);
    var type = FunctionDescriptor.of(ValueLayout.JAVA_INT, layouts);
    try {
      return (int)
          Linker.nativeLinker().downcallHandle(address, type).invokeWithArguments(arguments);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  private static MemoryLayout layout(Object argument) {
    return switch (argument) {
      case Integer _ -> ValueLayout.JAVA_INT;
      case MemorySegment _ -> ValueLayout.ADDRESS;
      default -> throw new IllegalArgumentException("neither an int nor a pointer: " + argument);
    };
  }
}
