package io.holdfast.torch;

import io.holdfast.kernels.CFunction;
import io.holdfast.kernels.OpenMp;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.util.Locale;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.openblas.global.openblas;
import org.bytedeco.pytorch.global.torch;

/** Loads LibTorch once, with the matrix library that suits the platform. */
public final class LibTorch {
  /** The BLAS that LibTorch multiplies with: {@code mkl} or {@code openblas}. */
  public static final String BLAS = load();

  private static final int MKL_THREADING_GNU = 3;

  private LibTorch() {}

  /** Makes sure that LibTorch is loaded. */
  public static void ready() {
    // Initialising this class has done it.
  }

  /** Whether a C++ exception, which arrives as a plain one, says that memory does not suffice. */
  public static boolean outOfMemory(RuntimeException error) {
    var text = String.valueOf(error.getMessage()).toLowerCase(Locale.ROOT);
    return text.contains("can't allocate memory")
        || text.contains("out of memory")
        || text.contains("bad_alloc");
  }

  private static String load() {
    // OpenBLAS keeps a spinning thread pool of its own beside LibTorch's: a step of a small model
    // took four times as long with it on two cores. MKL can share LibTorch's OpenMP pool, but only
    // when its threading layer is chosen before its first call.
    OpenMp.calm();
    NativeHeap.keep();
    boolean mkl = mklIsThere() && System.getProperty("org.bytedeco.openblas.load") == null;
    if (mkl) {
      System.setProperty("org.bytedeco.openblas.load", "mkl");
      Loader.load(openblas.class);
      shareThreads();
    }
    Loader.load(torch.class);
    return mkl ? "mkl" : "openblas";
  }

  private static void shareThreads() {
    // The library is loaded by now, so its bare name finds it.
    var library = SymbolLookup.libraryLookup("libmkl_rt.so.2", Arena.global());
    int layer =
        CFunction.of(library, "MKL_Set_Threading_Layer").orElseThrow().call(MKL_THREADING_GNU);
    if (layer < 0) {
      throw new IllegalStateException("MKL has no GNU threading layer");
    }
  }

  private static boolean mklIsThere() {
    var name = "org/bytedeco/mkl/" + Loader.getPlatform() + "/libmkl_rt.so.2";
    return LibTorch.class.getClassLoader().getResource(name) != null;
  }
}
