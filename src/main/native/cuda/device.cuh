// What the CUDA sources share: launches, sums over a warp, elements and rows of matrices.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
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

// Makes the device that holds a matrix this thread's. Host memory given by mistake would only show
// as an error of some later call, and take the whole process's device context with it.
inline int32_t use_device_of(const hf_matrix &a, const char *name) {
  if (a.data == nullptr) return HF_OK;
  cudaPointerAttributes attributes = {};
  if (int32_t status = device_status(cudaPointerGetAttributes(&attributes, a.data), name)) {
    return status;
  }
  if (attributes.type == cudaMemoryTypeUnregistered) {
    return fail(HF_INVALID, "%s: lies in host memory, the CUDA kernels need device memory", name);
  }
  return device_status(cudaSetDevice(attributes.device), name);
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

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline float to_float(__half x) { return __half2float(x); }

template <typename T>
__device__ T from_float(float x);
template <>
__device__ inline float from_float(float x) {
  return x;
}
template <>
__device__ inline __nv_bfloat16 from_float(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ inline __half from_float(float x) {
  return __float2half_rn(x);
}

// Calls body with a null pointer to the C++ type of the dtype.
template <typename Body>
int32_t with_type(int32_t dtype, const Body &body) {
  if (dtype == HF_BFLOAT16) return body(static_cast<__nv_bfloat16 *>(nullptr));
  if (dtype == HF_FLOAT16) return body(static_cast<__half *>(nullptr));
  return body(static_cast<float *>(nullptr));
}

// W neighbours, read and written at once.
template <typename T, int W>
struct alignas(sizeof(T) * W) Values {
  T at[W];
};

// How many elements of a type 16 bytes hold: the widest access of a thread.
template <typename T>
constexpr int kWide = 16 / sizeof(T);

// Whether each row may be read 16 bytes at a time.
inline bool is_wide(const hf_matrix &a) {
  const int64_t bytes = a.dtype == HF_FLOAT32 ? 4 : 2;
  return reinterpret_cast<uintptr_t>(a.data) % 16 == 0 && a.stride * bytes % 16 == 0 &&
         a.columns * bytes % 16 == 0;
}

template <typename T>
__device__ T *row_of(const hf_matrix &a, int64_t row) {
  return static_cast<T *>(a.data) + row * a.stride;
}

// One element of any dtype, where few are read.
__device__ inline float element(int32_t dtype, const void *data, int64_t i) {
  if (dtype == HF_FLOAT32) return static_cast<const float *>(data)[i];
  if (dtype == HF_BFLOAT16) return to_float(static_cast<const __nv_bfloat16 *>(data)[i]);
  return to_float(static_cast<const __half *>(data)[i]);
}

__device__ inline float element(const hf_matrix &a, int64_t i, int64_t j) {
  return element(a.dtype, a.data, i * a.stride + j);
}

__device__ inline void set_element(int32_t dtype, void *data, int64_t i, float x) {
  if (dtype == HF_FLOAT32) {
    static_cast<float *>(data)[i] = x;
  } else if (dtype == HF_BFLOAT16) {
    static_cast<__nv_bfloat16 *>(data)[i] = from_float<__nv_bfloat16>(x);
  } else {
    static_cast<__half *>(data)[i] = from_float<__half>(x);
  }
}

template <typename T>
__device__ T warp_sum(T value) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xffffffffU, value, offset);
  }
  return value;
}

}  // namespace holdfast
