// What the CUDA sources share: launches, sums over a warp, rows of matrices.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "arguments.hpp"

namespace holdfast {

constexpr int kWarp = 32;

inline int32_t device_status(cudaError_t error, const char *what) {
  if (error == cudaSuccess) return HF_OK;
  return fail(HF_DEVICE, "%s: %s", what, cudaGetErrorString(error));
}

// Host memory given by mistake would only show as an error of some later call, and take the whole
// process's device context with it.
inline int32_t check_on_device(const hf_matrix &a, const char *name) {
  if (a.data == nullptr) return HF_OK;
  cudaPointerAttributes attributes = {};
  if (int32_t status = device_status(cudaPointerGetAttributes(&attributes, a.data), name)) {
    return status;
  }
  if (attributes.type == cudaMemoryTypeUnregistered) {
    return fail(HF_INVALID, "%s: lies in host memory, the CUDA kernels need device memory", name);
  }
  return HF_OK;
}

// Queues a kernel on the stream. Kernels loop over the grid, so that a grid may be cut short.
template <typename... Parameters, typename... Arguments>
int32_t launch(void (*kernel)(Parameters...), int64_t blocks, int threads, void *stream,
               const Arguments &...arguments) {
  if (blocks <= 0) return HF_OK;
  constexpr int64_t kMostBlocks = 1 << 20;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(std::min(blocks, kMostBlocks)));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = static_cast<cudaStream_t>(stream);
  return device_status(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...), "launch");
}

__device__ inline float *row_of(const hf_matrix &a, int64_t row) {
  return static_cast<float *>(a.data) + row * a.stride;
}

template <typename T>
__device__ T warp_sum(T value) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xffffffffU, value, offset);
  }
  return value;
}

}  // namespace holdfast
