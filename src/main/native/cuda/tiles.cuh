// Products of 16-bit rows with a basis on tensor cores, for more basis vectors than plain
// arithmetic takes in the time of the memory.
//
// A block takes 32 rows and walks along the width in chunks of 64 columns: a thread reads 16 bytes
// of one row, the chunk waits in shared memory, and each warp multiplies one tile of 16 rows by 16
// columns with all basis vectors, up to 64. The basis, and the coefficients on their way back, are
// split in two halves, high and low, so that only the rows themselves have 16-bit precision; all
// sums are float32. The next chunk is read while this one is multiplied.
#pragma once

#include <mma.h>

#include "rows.cuh"

namespace holdfast {

namespace wmma = nvcuda::wmma;

constexpr int kTile = 16;
constexpr int kTileColumns = 64;  // of a chunk
constexpr int kSteps = kTileColumns / kTile;
constexpr int kLength = 72;  // of a row of halves in shared memory: off the banks of its neighbours
constexpr int kFloats = 68;  // the same of floats
constexpr int kPerThread = 8;  // elements of a chunk

static_assert(kBlockThreads == kBlockRows / kTile * kSteps * kWarp, "a warp a tile");
static_assert(kBlockThreads * kPerThread == kBlockRows * kTileColumns, "a thread 8 elements");

// What a block holds of a chunk.
template <typename T>
struct DotChunk {
  T x[kBlockRows][kLength];
  T high[kTileColumns][kLength];  // of the basis
  T low[kTileColumns][kLength];
};

struct AddChunk {
  __nv_bfloat16 high[kTileColumns][kLength];
  __nv_bfloat16 low[kTileColumns][kLength];
  __nv_bfloat16 a_high[kBlockRows][kLength];
  __nv_bfloat16 a_low[kBlockRows][kLength];
  float out[kBlockRows][kFloats];
};

struct DotParts {
  float sum[kSteps][kBlockRows][kFloats];
};

// One after another in the same memory, with a barrier between.
template <typename T>
union TileMemory {
  __device__ TileMemory() {}
  DotChunk<T> dot;
  DotParts parts;
  AddChunk add;
};

// x as the sum of two halves; a number too large for that stays whole.
template <typename T>
__device__ void split(float x, T &high, T &low) {
  high = from_float<T>(x);
  const float rest = x - to_float(high);
  low = from_float<T>(rest - rest == 0 ? rest : 0.0F);
}

template <typename T>
__device__ void stage_basis(const hf_matrix &u, int64_t begin, int rank, T (*high)[kLength],
                            T (*low)[kLength]) {
  for (int i = static_cast<int>(threadIdx.x); i < kTileColumns * rank; i += kBlockThreads) {
    const int row = i / rank;
    const int j = i % rank;
    const bool there = begin + row < u.rows && j < u.columns;
    split(there ? element(u, begin + row, j) : 0.0F, high[row][j], low[row][j]);
  }
}

// This thread's eight elements of a row, whose width is a multiple of that; zeros beyond its end.
template <typename T>
__device__ Values<T, kPerThread> read_eight(const T *row, int64_t begin, int64_t d) {
  if (row != nullptr && begin < d) {
    return *reinterpret_cast<const Values<T, kPerThread> *>(row + begin);
  }
  Values<T, kPerThread> x;
  for (int w = 0; w < kPerThread; w++) x.at[w] = from_float<T>(0);
  return x;
}

__device__ inline int thread_row() { return static_cast<int>(threadIdx.x) / (kTileColumns / 8); }
__device__ inline int thread_column() {
  return static_cast<int>(threadIdx.x) % (kTileColumns / 8) * kPerThread;
}

// As RowProducts, which says what its functions do.
template <typename T>
struct TileProducts {
  using Element = T;
  using Coefficients = BlockCoefficients;
  static constexpr int kGroup = kBlockRows;
  using Memory = TileMemory<T>;

  template <typename RowAt, typename Use>
  static __device__ void dot(Memory &memory, const RowAt &row_at, const hf_matrix &u,
                             const Use &use) {
    const T *row = row_at(thread_row());
    constexpr int kRankTiles = kBlockRank / kTile;
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const int row_tile = warp / kSteps * kTile;
    const int step = warp % kSteps;
    const int rank = static_cast<int>((u.columns + kTile - 1) / kTile * kTile);
    wmma::fragment<wmma::accumulator, kTile, kTile, kTile, float> sums[kRankTiles];
    for (auto &sum : sums) wmma::fill_fragment(sum, 0.0F);
    auto next = read_eight(row, thread_column(), u.rows);
    for (int64_t begin = 0; begin < u.rows; begin += kTileColumns) {
      __syncthreads();
      for (int w = 0; w < kPerThread; w++) {
        memory.dot.x[thread_row()][thread_column() + w] = next.at[w];
      }
      stage_basis(u, begin, rank, memory.dot.high, memory.dot.low);
      __syncthreads();
      next = read_eight(row, begin + kTileColumns + thread_column(), u.rows);
      wmma::fragment<wmma::matrix_a, kTile, kTile, kTile, T, wmma::row_major> a;
      wmma::fragment<wmma::matrix_b, kTile, kTile, kTile, T, wmma::row_major> b;
      wmma::load_matrix_sync(a, &memory.dot.x[row_tile][step * kTile], kLength);
      for (int t = 0; t < kRankTiles; t++) {
        if (t * kTile >= rank) break;
        wmma::load_matrix_sync(b, &memory.dot.high[step * kTile][t * kTile], kLength);
        wmma::mma_sync(sums[t], a, b, sums[t]);
        wmma::load_matrix_sync(b, &memory.dot.low[step * kTile][t * kTile], kLength);
        wmma::mma_sync(sums[t], a, b, sums[t]);
      }
    }
    __syncthreads();
    for (int t = 0; t < kRankTiles; t++) {
      if (t * kTile >= rank) break;
      wmma::store_matrix_sync(&memory.parts.sum[step][row_tile][t * kTile], sums[t], kFloats,
                              wmma::mem_row_major);
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < kBlockRows * u.columns; i += kBlockThreads) {
      const int r = i / static_cast<int>(u.columns);
      const int j = i % static_cast<int>(u.columns);
      float sum = 0;
      for (int s = 0; s < kSteps; s++) sum += memory.parts.sum[s][r][j];
      use(r, j, sum);
    }
    __syncthreads();
  }

  template <typename RowAt>
  static __device__ void add(Memory &memory, const RowAt &row_at, const hf_matrix &u,
                             const BlockCoefficients &coefficients) {
    T *row = row_at(thread_row());
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const int row_tile = warp / kSteps * kTile;
    const int column_tile = warp % kSteps * kTile;
    const int rank = static_cast<int>((u.columns + kTile - 1) / kTile * kTile);
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < kBlockRows * rank; i += kBlockThreads) {
      const int r = i / rank;
      const int j = i % rank;
      split(j < u.columns ? coefficients[r][j] : 0.0F, memory.add.a_high[r][j],
            memory.add.a_low[r][j]);
    }
    for (int64_t begin = 0; begin < u.rows; begin += kTileColumns) {
      const int64_t column = begin + thread_column();
      auto x = read_eight(row, column, u.rows);
      stage_basis(u, begin, rank, memory.add.high, memory.add.low);
      __syncthreads();
      wmma::fragment<wmma::accumulator, kTile, kTile, kTile, float> sum;
      wmma::fragment<wmma::matrix_a, kTile, kTile, kTile, __nv_bfloat16, wmma::row_major> a_high;
      wmma::fragment<wmma::matrix_a, kTile, kTile, kTile, __nv_bfloat16, wmma::row_major> a_low;
      wmma::fragment<wmma::matrix_b, kTile, kTile, kTile, __nv_bfloat16, wmma::col_major> b;
      wmma::fill_fragment(sum, 0.0F);
      for (int j = 0; j < rank; j += kTile) {
        wmma::load_matrix_sync(a_high, &memory.add.a_high[row_tile][j], kLength);
        wmma::load_matrix_sync(a_low, &memory.add.a_low[row_tile][j], kLength);
        wmma::load_matrix_sync(b, &memory.add.high[column_tile][j], kLength);
        wmma::mma_sync(sum, a_high, b, sum);
        wmma::mma_sync(sum, a_low, b, sum);
        wmma::load_matrix_sync(b, &memory.add.low[column_tile][j], kLength);
        wmma::mma_sync(sum, a_high, b, sum);
      }
      wmma::store_matrix_sync(&memory.add.out[row_tile][column_tile], sum, kFloats,
                              wmma::mem_row_major);
      __syncthreads();
      for (int w = 0; w < kPerThread; w++) {
        const float moved = memory.add.out[thread_row()][thread_column() + w];
        x.at[w] = from_float<T>(to_float(x.at[w]) + moved);
      }
      if (row != nullptr && column < u.rows) {
        *reinterpret_cast<Values<T, kPerThread> *>(row + column) = x;
      }
    }
    __syncthreads();
  }
};

}  // namespace holdfast
