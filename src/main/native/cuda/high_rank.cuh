// Products of rows with a basis of any rank, where blocks of 32 rows have no room for as many
// coefficients: four rows a block, so that each element of the basis is loaded once for all of
// them; threads run along the width.
#pragma once

#include "rows.cuh"

namespace holdfast {

// As RowProducts, which says what its functions do.
template <typename T>
struct HighRankProducts {
  using Element = T;
  static constexpr int kGroup = 4;
  using Coefficients = float[kGroup][HF_MAX_RANK];
  static constexpr int kWarps = kBlockThreads / kWarp;
  static constexpr int kPanel = 8;  // basis vectors summed at a time

  struct Memory {
    float partial[kWarps][kGroup][kPanel];
  };

  // Elements first to first + 7 of row i of the basis, zeros beyond it.
  static __device__ void load_panel(const hf_matrix &u, int64_t i, int64_t first,
                                    float (&b)[kPanel]) {
    for (int p = 0; p < kPanel; p++) {
      b[p] = first + p < u.columns ? element(u, i, first + p) : 0.0F;
    }
  }

  template <typename RowAt, typename Use>
  static __device__ void dot(Memory &memory, const RowAt &row_at, const hf_matrix &u,
                             const Use &use) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const T *rows[kGroup];
    for (int r = 0; r < kGroup; r++) rows[r] = row_at(r);
    for (int64_t first = 0; first < u.columns; first += kPanel) {
      float sums[kGroup][kPanel] = {};
      for (int64_t i = threadIdx.x; i < u.rows; i += kBlockThreads) {
        float b[kPanel];
        load_panel(u, i, first, b);
        for (int r = 0; r < kGroup; r++) {
          const float value = rows[r] != nullptr ? to_float(rows[r][i]) : 0.0F;
          for (int p = 0; p < kPanel; p++) sums[r][p] += value * b[p];
        }
      }
      __syncthreads();
      for (int r = 0; r < kGroup; r++) {
        for (int p = 0; p < kPanel; p++) {
          const float sum = warp_sum(sums[r][p]);
          if (lane == 0) memory.partial[warp][r][p] = sum;
        }
      }
      __syncthreads();
      if (threadIdx.x < kGroup * kPanel) {
        const int r = static_cast<int>(threadIdx.x) / kPanel;
        const int p = static_cast<int>(threadIdx.x) % kPanel;
        float sum = 0;
        for (int w = 0; w < kWarps; w++) sum += memory.partial[w][r][p];
        if (first + p < u.columns) use(r, static_cast<int>(first) + p, sum);
      }
    }
    __syncthreads();
  }

  template <typename RowAt>
  static __device__ void add(Memory &, const RowAt &row_at, const hf_matrix &u,
                             const Coefficients &a) {
    T *rows[kGroup];
    for (int r = 0; r < kGroup; r++) rows[r] = row_at(r);
    __syncthreads();
    for (int64_t i = threadIdx.x; i < u.rows; i += kBlockThreads) {
      float sums[kGroup] = {};
      for (int64_t first = 0; first < u.columns; first += kPanel) {
        float b[kPanel];
        load_panel(u, i, first, b);
        for (int p = 0; p < kPanel && first + p < u.columns; p++) {
          for (int r = 0; r < kGroup; r++) sums[r] += a[r][first + p] * b[p];
        }
      }
      for (int r = 0; r < kGroup; r++) {
        if (rows[r] != nullptr) rows[r][i] = from_float<T>(to_float(rows[r][i]) + sums[r]);
      }
    }
    __syncthreads();
  }
};

}  // namespace holdfast
