// What kernels over many tensors in one launch share. The tensors' addresses travel in the kernel's
// parameters, so that nothing is copied and the launch can be captured in a graph; a table in
// device memory would have to be written by launches of its own.
#pragma once

#include "device.cuh"

namespace holdfast {

constexpr int kThreads = 256;
constexpr int64_t kTile = 4096;  // elements of a block
constexpr int kLane = 4;         // elements of a thread at a time

// A kernel's parameters may take 32,764 bytes since CUDA 12.1, 4,096 before.
#if CUDART_VERSION >= 12010
constexpr size_t kParameterBytes = 32600;
#else
constexpr size_t kParameterBytes = 4000;
#endif

// What a kernel does for each of several parts, Shared being the same for all. Parts are cut into
// tiles, which blocks take in turn; a part begins with tile `first_tile(part)`, and parts without
// elements have none.
template <typename Part, typename Shared>
struct Batch {
  static constexpr int kParts =
      static_cast<int>((kParameterBytes - sizeof(Shared) - 16) / sizeof(Part));
  Shared shared;
  int32_t count;
  int32_t tiles;
  Part parts[kParts];
};

// The last part whose first tile is at most `tile`; parts without elements have no tile.
template <typename Part>
__device__ int part_of(const Part *parts, int count, int tile) {
  int low = 0;
  int high = count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (first_tile(parts[middle]) <= tile) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

// Launches a kernel over `count` parts in as few launches as their descriptions take. make(i, part)
// describes part i and returns its tiles, 0 to leave it out, or -1 where it is too large; go(batch,
// first) launches one batch.
template <typename Part, typename Shared, typename Make, typename Go>
int32_t in_batches(int64_t count, const Shared &shared, const Make &make, const Go &go) {
  Batch<Part, Shared> batch;
  batch.shared = shared;
  bool first = true;
  for (int64_t next = 0; next < count || first;) {
    batch.count = 0;
    int64_t tiles = 0;
    for (; next < count && batch.count < Batch<Part, Shared>::kParts; next++) {
      Part &part = batch.parts[batch.count];
      const int64_t more = make(next, part);
      if (more > INT32_MAX)
        return fail(HF_UNSUPPORTED, "tensor %lld: too large", static_cast<long long>(next));
      if (tiles + more > INT32_MAX) break;
      if (more == 0) continue;
      set_first_tile(part, static_cast<int32_t>(tiles));
      batch.count++;
      tiles += more;
    }
    batch.tiles = static_cast<int32_t>(tiles);
    if (int32_t status = go(batch, first)) return status;
    first = false;
  }
  return HF_OK;
}

struct Four {
  float at[kLane];
};

__device__ inline float from_bits(int32_t dtype, uint16_t bits) {
  return dtype == HF_BFLOAT16 ? to_float(__ushort_as_bfloat16(bits))
                              : to_float(__ushort_as_half(bits));
}

__device__ inline uint16_t to_bits(int32_t dtype, float x) {
  return dtype == HF_BFLOAT16 ? __bfloat16_as_ushort(from_float<__nv_bfloat16>(x))
                              : __half_as_ushort(from_float<__half>(x));
}

// Elements i to i + 3, or as many as there are.
__device__ inline Four load(int32_t dtype, const void *data, int64_t i, int count, bool wide) {
  Four x = {};
  if (wide && count == kLane) {
    if (dtype == HF_FLOAT32) {
      const auto v =
          *reinterpret_cast<const Values<float, kLane> *>(static_cast<const float *>(data) + i);
      for (int w = 0; w < kLane; w++) x.at[w] = v.at[w];
    } else {
      const auto v = *reinterpret_cast<const Values<uint16_t, kLane> *>(
          static_cast<const uint16_t *>(data) + i);
      for (int w = 0; w < kLane; w++) x.at[w] = from_bits(dtype, v.at[w]);
    }
    return x;
  }
  for (int w = 0; w < count; w++) x.at[w] = element(dtype, data, i + w);
  return x;
}

__device__ inline void store(int32_t dtype, void *data, int64_t i, int count, bool wide,
                             const Four &x) {
  if (wide && count == kLane) {
    if (dtype == HF_FLOAT32) {
      Values<float, kLane> v;
      for (int w = 0; w < kLane; w++) v.at[w] = x.at[w];
      *reinterpret_cast<Values<float, kLane> *>(static_cast<float *>(data) + i) = v;
    } else {
      Values<uint16_t, kLane> v;
      for (int w = 0; w < kLane; w++) v.at[w] = to_bits(dtype, x.at[w]);
      *reinterpret_cast<Values<uint16_t, kLane> *>(static_cast<uint16_t *>(data) + i) = v;
    }
    return;
  }
  for (int w = 0; w < count; w++) set_element(dtype, data, i + w, x.at[w]);
}

inline bool dense(const hf_matrix &a) { return a.data == nullptr || a.stride == a.columns; }

inline bool aligned(const hf_matrix &a) {
  const uintptr_t bytes = kLane * (a.dtype == HF_FLOAT32 ? 4 : 2);
  return reinterpret_cast<uintptr_t>(a.data) % bytes == 0;
}

inline int64_t tiles_of(int64_t elements) { return (elements + kTile - 1) / kTile; }

}  // namespace holdfast
