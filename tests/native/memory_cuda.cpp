// Memory of the host that a GPU reaches too, over the bus, so that the same tests run there.
// Launches are made to block: a test looks at the results as soon as a call returns. The page
// behind stays out of the GPU's reach, and a kernel that leaves its memory fails.
#include <cuda_runtime.h>

#include "check.hpp"

namespace {

bool has_device() {
  static const bool found = [] {
    setenv("CUDA_LAUNCH_BLOCKING", "1", 0);
    int devices = 0;
    return cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
  }();
  return found;
}

}  // namespace

void share_memory(void *start, size_t bytes) {
  if (!has_device()) return;
  const cudaError_t error = cudaHostRegister(start, bytes, cudaHostRegisterDefault);
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "cudaHostRegister: %s\n", cudaGetErrorString(error));
  std::exit(1);
}

void unshare_memory(void *start) {
  if (has_device()) cudaHostUnregister(start);
}
