// Products of rows with a basis in plain arithmetic: few basis vectors, or float32 rows, whose
// precision tensor cores lack.
//
// A block takes 32 rows, four a warp, and walks along the width in chunks of 512 columns. The
// chunk's part of the basis lies transposed in shared memory, read from there by all rows; a lane
// reads 16 bytes of a row at a time, neighbours side by side. P basis vectors are summed at a time:
// d bytes(T) read for each 2 d P flops. Every sum has one order, whatever the grid.
#pragma once

#include "device.cuh"

// How often the compiler repeats the body of the loop that follows.
#if defined(__CUDACC__)
#define HF_PRAGMA(words) _Pragma(#words)
#define HF_UNROLL(times) HF_PRAGMA(unroll times)
#else
#define HF_UNROLL(times)
#endif

namespace holdfast {

constexpr int kBlockRows = 32;
constexpr int kBlockThreads = 256;
constexpr int kBlockRank = 64;  // basis vectors, at most
constexpr int kCoefficients = kBlockRank + 4;

// A number for each of the block's rows and basis vectors.
using BlockCoefficients = float[kBlockRows][kCoefficients];

// W floats in shared memory, 16 bytes at a time where that many are wanted.
template <int W>
__device__ void load_floats(const float *from, float (&to)[W]) {
  constexpr int kEach = W < 4 ? W : 4;
  for (int w = 0; w < W; w += kEach) {
    const auto part = *reinterpret_cast<const Values<float, kEach> *>(from + w);
    for (int i = 0; i < kEach; i++) to[w + i] = part.at[i];
  }
}

template <typename T, int W, int P>
struct RowProducts {
  using Element = T;
  using Coefficients = BlockCoefficients;
  static constexpr int kGroup = kBlockRows;
  static constexpr int kRows = 4;  // of a warp
  static constexpr int kChunk = 512;
  static constexpr int kStep = kWarp * W;  // columns of a warp at a time
  static constexpr int kSteps = kChunk / kStep;
  static_assert(kBlockThreads / kWarp * kRows == kBlockRows, "a warp four rows");

  struct Memory {
    // Four more than a chunk, so that the basis vectors of one column lie in banks of their own.
    alignas(16) float basis[P][kChunk + 4];
  };

  static __device__ int lane() { return static_cast<int>(threadIdx.x) % kWarp; }
  static __device__ int first_row() { return static_cast<int>(threadIdx.x) / kWarp * kRows; }

  // Columns `begin` on of basis vectors `first` on, zeros beyond. Begins and ends with a barrier.
  static __device__ void stage(Memory &memory, const hf_matrix &u, int64_t begin, int64_t first) {
    __syncthreads();
    HF_UNROLL(4)
    for (int i = static_cast<int>(threadIdx.x); i < kChunk * P; i += kBlockThreads) {
      const int column = i / P;
      const int p = i % P;
      const bool there = begin + column < u.rows && first + p < u.columns;
      memory.basis[p][column] = there ? element(u, begin + column, first + p) : 0.0F;
    }
    __syncthreads();
  }

  static __device__ void load_row(const T *row, int64_t column, float (&x)[W]) {
    if (row == nullptr) {
      for (int w = 0; w < W; w++) x[w] = 0;
      return;
    }
    const auto raw = *reinterpret_cast<const Values<T, W> *>(row + column);
    for (int w = 0; w < W; w++) x[w] = to_float(raw.at[w]);
  }

  // Calls use(r, j, (x U)[r][j]) once for each of the block's rows and basis vectors; row_at(r) is
  // a row's first element, or null where there is no such row. Begins and ends with a barrier.
  template <typename RowAt, typename Use>
  static __device__ void dot(Memory &memory, const RowAt &row_at, const hf_matrix &u,
                             const Use &use) {
    const T *rows[kRows];
    for (int r = 0; r < kRows; r++) rows[r] = row_at(first_row() + r);
    for (int64_t first = 0; first < u.columns; first += P) {
      float sums[kRows][P] = {};
      for (int64_t begin = 0; begin < u.rows; begin += kChunk) {
        stage(memory, u, begin, first);
        HF_UNROLL(1)
        for (int c = lane() * W; c < kChunk && begin + c < u.rows; c += kStep) {
          float x[kRows][W];
          for (int r = 0; r < kRows; r++) load_row(rows[r], begin + c, x[r]);
          for (int p = 0; p < P; p++) {
            float b[W];
            load_floats<W>(&memory.basis[p][c], b);
            for (int r = 0; r < kRows; r++) {
              for (int w = 0; w < W; w++) sums[r][p] += x[r][w] * b[w];
            }
          }
        }
      }
      for (int r = 0; r < kRows; r++) {
        for (int p = 0; p < P; p++) {
          const float sum = warp_sum(sums[r][p]);
          if (lane() == 0 && first + p < u.columns) {
            use(first_row() + r, static_cast<int>(first) + p, sum);
          }
        }
      }
    }
    __syncthreads();
  }

  // row <- row + a U^T for the block's rows. Begins and ends with a barrier.
  template <typename RowAt>
  static __device__ void add(Memory &memory, const RowAt &row_at, const hf_matrix &u,
                             const Coefficients &a) {
    T *rows[kRows];
    for (int r = 0; r < kRows; r++) rows[r] = row_at(first_row() + r);
    for (int64_t begin = 0; begin < u.rows; begin += kChunk) {
      float moved[kSteps][kRows][W] = {};
      for (int64_t first = 0; first < u.columns; first += P) {
        stage(memory, u, begin, first);
        for (int step = 0; step < kSteps; step++) {
          for (int p = 0; p < P && first + p < u.columns; p++) {
            float b[W];
            load_floats<W>(&memory.basis[p][step * kStep + lane() * W], b);
            for (int r = 0; r < kRows; r++) {
              const float coefficient = a[first_row() + r][first + p];
              for (int w = 0; w < W; w++) moved[step][r][w] += coefficient * b[w];
            }
          }
        }
      }
      for (int step = 0; step < kSteps; step++) {
        const int64_t column = begin + step * kStep + lane() * W;
        for (int r = 0; r < kRows; r++) {
          if (rows[r] == nullptr || column >= u.rows) continue;
          auto *at = reinterpret_cast<Values<T, W> *>(rows[r] + column);
          Values<T, W> x = *at;
          for (int w = 0; w < W; w++) {
            x.at[w] = from_float<T>(to_float(x.at[w]) + moved[step][r][w]);
          }
          *at = x;
        }
      }
    }
    __syncthreads();
  }
};

}  // namespace holdfast
