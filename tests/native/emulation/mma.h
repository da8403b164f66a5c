// Stands in for NVIDIA's header of the same name: tiles of 16 x 16 that a warp multiplies together.
// Lane l holds elements 8 l to 8 l + 7, in an order that no kernel may rely on.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

namespace nvcuda::wmma {

struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major, mem_col_major };

namespace emulated {

constexpr unsigned kSide = 16;
constexpr unsigned kOfLane = 8;

// Row and column of one of this lane's elements.
inline unsigned row_of(unsigned i) { return (threadIdx.x % 32 * kOfLane + i) / kSide; }
inline unsigned column_of(unsigned i) { return (threadIdx.x % 32 * kOfLane + i) % kSide; }

inline float value(float x) { return x; }
inline float value(__nv_bfloat16 x) { return __bfloat162float(x); }
inline float value(__half x) { return __half2float(x); }

// As the hardware: tiles begin at multiples of 32 bytes, rows of tiles at multiples of 16.
template <typename T>
void check(const T *tile, unsigned stride) {
  if (reinterpret_cast<uintptr_t>(tile) % 32 != 0 || stride * sizeof(T) % 16 != 0) std::abort();
}

}  // namespace emulated

template <typename Use, int M, int N, int K, typename T, typename Layout = void>
struct fragment {
  static_assert(M == 16 && N == 16 && K == 16, "the tile that is emulated");
  float x[emulated::kOfLane];
};

template <typename T>
void fill_fragment(fragment<accumulator, 16, 16, 16, T> &tile, T value) {
  for (float &x : tile.x) x = value;
}

template <typename Use, typename T, typename Layout>
void load_matrix_sync(fragment<Use, 16, 16, 16, T, Layout> &tile, const T *from, unsigned stride) {
  emulated::check(from, stride);
  constexpr bool kColumns = std::is_same_v<Layout, col_major>;
  for (unsigned i = 0; i < emulated::kOfLane; i++) {
    const unsigned row = emulated::row_of(i);
    const unsigned column = emulated::column_of(i);
    tile.x[i] = emulated::value(from[kColumns ? column * stride + row : row * stride + column]);
  }
  emulation::wait_for_warp();
}

template <typename T>
void store_matrix_sync(T *to, const fragment<accumulator, 16, 16, 16, T> &tile, unsigned stride,
                       layout_t layout) {
  emulated::check(to, stride);
  for (unsigned i = 0; i < emulated::kOfLane; i++) {
    const unsigned row = emulated::row_of(i);
    const unsigned column = emulated::column_of(i);
    to[layout == mem_col_major ? column * stride + row : row * stride + column] = tile.x[i];
  }
  emulation::wait_for_warp();
}

// d = a b + c: each lane publishes where its parts of a and b are, then sums its own elements.
template <typename T, typename LayoutA, typename LayoutB>
void mma_sync(fragment<accumulator, 16, 16, 16, float> &d,
              const fragment<matrix_a, 16, 16, 16, T, LayoutA> &a,
              const fragment<matrix_b, 16, 16, 16, T, LayoutB> &b,
              const fragment<accumulator, 16, 16, 16, float> &c) {
  struct Parts {
    const float *a, *b;
  };
  const Parts mine = {a.x, b.x};
  const Parts *address = &mine;
  uint64_t *words = emulation::warp_words();
  std::memcpy(words + threadIdx.x % 32, &address, sizeof address);
  emulation::wait_for_warp();
  const auto parts = [&](unsigned element) {
    const Parts *of;
    std::memcpy(&of, words + element / emulated::kOfLane, sizeof of);
    return *of;
  };
  float sums[emulated::kOfLane];
  for (unsigned i = 0; i < emulated::kOfLane; i++) {
    double sum = static_cast<double>(c.x[i]);
    for (unsigned k = 0; k < emulated::kSide; k++) {
      const unsigned from_a = emulated::row_of(i) * emulated::kSide + k;
      const unsigned from_b = k * emulated::kSide + emulated::column_of(i);
      sum += static_cast<double>(parts(from_a).a[from_a % emulated::kOfLane]) *
             static_cast<double>(parts(from_b).b[from_b % emulated::kOfLane]);
    }
    sums[i] = static_cast<float>(sum);
  }
  emulation::wait_for_warp();  // until all have read
  std::memcpy(d.x, sums, sizeof sums);
}

}  // namespace nvcuda::wmma
