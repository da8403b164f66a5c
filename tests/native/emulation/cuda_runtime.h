// CUDA's execution model on one CPU thread, so that the sources in src/main/native/cuda run, and
// are tested, where there is no GPU: blocks one after another, each thread of a block a fiber,
// barriers and shuffles where fibers wait for one another. A barrier that some thread never reaches
// ends the program. Stands in for NVIDIA's header of the same name; it has what those sources use.
#pragma once

#include <math.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <type_traits>

#define __host__
#define __global__
#define __device__
#define __grid_constant__
#define __launch_bounds__(threads)
#define __shared__ static  // blocks run one after another

using cudaStream_t = void *;
enum cudaError_t { cudaSuccess = 0, cudaErrorMemoryAllocation = 2 };
enum cudaMemcpyKind { cudaMemcpyDefault = 4 };

struct dim3 {
  dim3(unsigned width = 1) : x(width) {}  // implicit, as in CUDA
  unsigned x;
};

struct cudaLaunchConfig_t {
  dim3 gridDim;
  dim3 blockDim;
  cudaStream_t stream;
};

struct cudaFuncAttributes {};

enum cudaMemoryType { cudaMemoryTypeUnregistered = 0, cudaMemoryTypeDevice = 2 };

struct cudaPointerAttributes {
  cudaMemoryType type;
  int device;
};

struct cudaDeviceProp {
  char name[16] = "emulation";
  int major = 0;
  int minor = 0;
  size_t totalGlobalMem = 0;
};

namespace emulation {

// Runs one block to its end: `body` once for each thread.
void run_block(unsigned block, unsigned blocks, unsigned threads,
               const std::function<void()> &body);

// Where the running fiber waits for all of its block, or of its warp.
void wait_for_block();
void wait_for_warp();

// One word of each lane of the running fiber's warp, for one exchange: write, wait, read. The next
// exchange has words of its own, so that a lane may enter it before others have read these.
uint64_t *warp_words();

}  // namespace emulation

// Of the fiber that runs.
extern dim3 threadIdx, blockIdx, gridDim, blockDim;

inline void __syncthreads() { emulation::wait_for_block(); }

template <typename T>
T __shfl_xor_sync(unsigned, T value, int lanes) {
  static_assert(sizeof(T) <= sizeof(uint64_t), "a lane exchanges one word");
  uint64_t *words = emulation::warp_words();
  std::memcpy(words + threadIdx.x % 32, &value, sizeof value);
  emulation::wait_for_warp();
  std::memcpy(&value, words + (threadIdx.x % 32 ^ static_cast<unsigned>(lanes)), sizeof value);
  return value;
}

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(Parameters...),
                               const Arguments &...arguments) {
  for (unsigned block = 0; block < config->gridDim.x; block++) {
    emulation::run_block(block, config->gridDim.x, config->blockDim.x,
                         [&] { kernel(arguments...); });
  }
  return cudaSuccess;
}

inline const char *cudaGetErrorString(cudaError_t) { return "emulation"; }

inline cudaError_t cudaGetDeviceCount(int *count) {
  *count = 1;
  return cudaSuccess;
}

inline cudaError_t cudaGetDevice(int *device) {
  *device = 0;
  return cudaSuccess;
}

inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int) {
  *properties = cudaDeviceProp();
  return cudaSuccess;
}

template <typename Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *, Kernel) {
  return cudaSuccess;
}

inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *attributes, const void *) {
  *attributes = {cudaMemoryTypeDevice, 0};
  return cudaSuccess;
}

inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }

inline cudaError_t cudaMalloc(void **out, size_t bytes) {
  *out = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  return *out != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}

inline cudaError_t cudaFree(void *memory) {
  std::free(memory);
  return cudaSuccess;
}

inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind,
                                   cudaStream_t) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}

inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
