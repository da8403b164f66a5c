// Projection, ablation and constraint: rows of hidden states against a packed basis.
//
// Rows are taken in groups, and a group's chunk of columns, in the first-level cache, meets all
// basis vectors before the next chunk: rows come from memory once, and the basis from a farther
// cache once a group. A tile of accumulators, rows x basis vectors, stays in registers.
#pragma once

#include "convert.hpp"
#include "kernels.hpp"
#include "simd.hpp"

namespace {

using holdfast::ConstrainJob;
using holdfast::kRowGroup;
using holdfast::PackedBasis;

constexpr int64_t kColumns = 256;  // of a chunk
constexpr int64_t kPanel = 64;     // basis vectors whose sums are held at a time
constexpr int kTileRows = 4;

// Basis vectors, and blocks of columns, of a tile: as many as the registers hold.
#if HF_LANES == 16 || defined(__aarch64__)
constexpr int kTileVectors = 6;
constexpr int kTileBlocks = 4;
#else
constexpr int kTileVectors = 3;
constexpr int kTileBlocks = 3;
#endif

// Constraint reads two rows for each that it edits.
constexpr int64_t kGroup = 2 * kRowGroup;

// From one row's coefficients to the next's.
constexpr int64_t kStride = HF_MAX_RANK;

// Rows of one dtype, wherever they lie.
struct Group {
  char *row[kGroup];
  int64_t count = 0;
  int32_t dtype = HF_FLOAT32;

  void add(const hf_matrix &a, int64_t i) {
    dtype = a.dtype;
    row[count++] = at(a, i, 0);
  }
  char *address(int64_t r, int64_t column) const { return row[r] + column * bytes_of(dtype); }
};

inline int64_t blocks_of(int64_t columns) { return (columns + kLanes - 1) / kLanes; }

// Whole blocks of a row as floats: in place where that is what they are, else in the buffer, zeros
// at the end.
inline float *chunk(const Group &x, int64_t r, int64_t begin, int64_t n, float *buffer) {
  char *from = x.address(r, begin);
  if (x.dtype == HF_FLOAT32 && n % kLanes == 0) {
    return reinterpret_cast<float *>(from);
  }
  widen(x.dtype, from, n, buffer);
  for (int64_t i = n; i < blocks_of(n) * kLanes; ++i) {
    buffer[i] = 0;
  }
  return buffer;
}

void pack(const hf_matrix *u, int64_t first, int64_t last, float *to) {
  const int64_t k = u->columns;
  float values[HF_MAX_RANK];
  for (int64_t block = first; block < last; ++block) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const int64_t i = block * kLanes + lane;
      if (i < u->rows) {
        widen(u->dtype, at(*u, i, 0), k, values);
      }
      for (int64_t j = 0; j < k; ++j) {
        to[(block * k + j) * kLanes + lane] = i < u->rows ? values[j] : 0.0F;
      }
    }
  }
}

// sums[r][p] += x[r] . U[:, p] over some blocks, R rows and J basis vectors; `step` floats from one
// block of the basis to the next.
template <int R, int J>
inline void dot_tile(float *const *x, const float *basis, int64_t step, int64_t blocks, Vec *sums) {
  Vec tile[R][J];
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < J; ++p) {
      tile[r][p] = sums[r * kPanel + p];
    }
  }
  for (int64_t block = 0; block < blocks; ++block) {
    Vec b[J];
    for (int p = 0; p < J; ++p) {
      b[p] = load(basis + block * step + p * kLanes);
    }
    for (int r = 0; r < R; ++r) {
      const Vec value = load(x[r] + block * kLanes);
      for (int p = 0; p < J; ++p) {
        tile[r][p] += value * b[p];
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < J; ++p) {
      sums[r * kPanel + p] = tile[r][p];
    }
  }
}

// All of a panel's vectors: whole tiles, and what is left in two halves, as a lone vector would
// leave most of the arithmetic waiting for its own last sum.
template <int R>
inline void dot_rows(float *const *x, const float *basis, int64_t step, int64_t blocks,
                     int64_t vectors, Vec *sums) {
  constexpr int64_t kHalf = (kTileVectors + 1) / 2;
  int64_t j = 0;
  while (vectors - j >= kTileVectors && vectors - j != kTileVectors + 1) {
    dot_tile<R, kTileVectors>(x, basis + j * kLanes, step, blocks, sums + j);
    j += kTileVectors;
  }
  for (; j + kHalf <= vectors; j += kHalf) {
    dot_tile<R, kHalf>(x, basis + j * kLanes, step, blocks, sums + j);
  }
  for (; j < vectors; ++j) {
    dot_tile<R, 1>(x, basis + j * kLanes, step, blocks, sums + j);
  }
}

// a[r][:] = x[r] U.
void dot(const Group &x, PackedBasis u, float *a) {
  Vec sums[kGroup * kPanel];
  float buffers[kTileRows][kColumns];
  for (int64_t panel = 0; panel < u.k; panel += kPanel) {
    const int64_t vectors = u.k - panel < kPanel ? u.k - panel : kPanel;
    std::memset(sums, 0, static_cast<size_t>(x.count * kPanel) * sizeof(Vec));
    for (int64_t begin = 0; begin < u.d; begin += kColumns) {
      const int64_t n = u.d - begin < kColumns ? u.d - begin : kColumns;
      const float *basis = u.data + (begin * u.k + panel * kLanes);
      int64_t r = 0;
      for (; r + kTileRows <= x.count; r += kTileRows) {
        float *rows[kTileRows];
        for (int t = 0; t < kTileRows; ++t) {
          rows[t] = chunk(x, r + t, begin, n, buffers[t]);
        }
        dot_rows<kTileRows>(rows, basis, u.k * kLanes, blocks_of(n), vectors, sums + r * kPanel);
      }
      for (; r < x.count; ++r) {
        float *row = chunk(x, r, begin, n, buffers[0]);
        dot_rows<1>(&row, basis, u.k * kLanes, blocks_of(n), vectors, sums + r * kPanel);
      }
    }
    for (int64_t r = 0; r < x.count; ++r) {
      for (int64_t j = 0; j < vectors; ++j) {
        a[r * kStride + panel + j] = sum(sums[r * kPanel + j]);
      }
    }
  }
}

// x[r] += a[r] U^T over B blocks.
template <int R, int B>
inline void add_tile(float *const *x, const float *basis, int64_t k, const float *a) {
  Vec values[R][B];
  for (int r = 0; r < R; ++r) {
    for (int b = 0; b < B; ++b) {
      values[r][b] = load(x[r] + b * kLanes);
    }
  }
  for (int64_t j = 0; j < k; ++j) {
    Vec vectors[B];
    for (int b = 0; b < B; ++b) {
      vectors[b] = load(basis + (b * k + j) * kLanes);
    }
    for (int r = 0; r < R; ++r) {
      const Vec coefficient = splat(a[r * kStride + j]);
      for (int b = 0; b < B; ++b) {
        values[r][b] += coefficient * vectors[b];
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int b = 0; b < B; ++b) {
      store(x[r] + b * kLanes, values[r][b]);
    }
  }
}

template <int R>
inline void add_rows(float *const *x, const float *basis, int64_t k, int64_t blocks,
                     const float *a) {
  float *rows[R];
  int64_t block = 0;
  for (; block + kTileBlocks <= blocks; block += kTileBlocks) {
    for (int r = 0; r < R; ++r) {
      rows[r] = x[r] + block * kLanes;
    }
    add_tile<R, kTileBlocks>(rows, basis + block * k * kLanes, k, a);
  }
  for (; block < blocks; ++block) {
    for (int r = 0; r < R; ++r) {
      rows[r] = x[r] + block * kLanes;
    }
    add_tile<R, 1>(rows, basis + block * k * kLanes, k, a);
  }
}

template <int R>
void add_chunk(const Group &x, int64_t first, PackedBasis u, int64_t begin, int64_t n,
               const float *a) {
  float buffers[R][kColumns];
  float *rows[R];
  for (int r = 0; r < R; ++r) {
    rows[r] = chunk(x, first + r, begin, n, buffers[r]);
  }
  add_rows<R>(rows, u.data + begin * u.k, u.k, blocks_of(n), a + first * kStride);
  for (int r = 0; r < R; ++r) {
    if (rows[r] == buffers[r]) {
      narrow(x.dtype, buffers[r], n, x.address(first + r, begin));
    }
  }
}

// x[r] <- x[r] + a[r] U^T.
void add(const Group &x, PackedBasis u, const float *a) {
  for (int64_t begin = 0; begin < u.d; begin += kColumns) {
    const int64_t n = u.d - begin < kColumns ? u.d - begin : kColumns;
    int64_t r = 0;
    for (; r + kTileRows <= x.count; r += kTileRows) {
      add_chunk<kTileRows>(x, r, u, begin, n, a);
    }
    for (; r < x.count; ++r) {
      add_chunk<1>(x, r, u, begin, n, a);
    }
  }
}

// Calls group(begin, end) for the groups of first..last.
template <typename F>
void in_groups(int64_t first, int64_t last, const F &group) {
  for (int64_t begin = first; begin < last; begin += kRowGroup) {
    group(begin, begin + kRowGroup < last ? begin + kRowGroup : last);
  }
}

void project(const hf_matrix *h, const int64_t *rows, PackedBasis u, const hf_matrix *c,
             int64_t first, int64_t last) {
  in_groups(first, last, [&](int64_t begin, int64_t end) {
    Group x;
    float a[kRowGroup * kStride];
    for (int64_t i = begin; i < end; ++i) {
      x.add(*h, rows != nullptr ? rows[i] : i);
    }
    dot(x, u, a);
    for (int64_t i = begin; i < end; ++i) {
      narrow(c->dtype, a + (i - begin) * kStride, u.k, at(*c, i, 0));
    }
  });
}

void ablate(const hf_matrix *h, PackedBasis u, int64_t first, int64_t last) {
  in_groups(first, last, [&](int64_t begin, int64_t end) {
    Group x;
    float a[kRowGroup * kStride];
    for (int64_t i = begin; i < end; ++i) {
      x.add(*h, i);
    }
    dot(x, u, a);
    for (int64_t r = 0; r < x.count; ++r) {
      for (int64_t j = 0; j < u.k; ++j) {
        a[r * kStride + j] = -a[r * kStride + j];
      }
    }
    add(x, u, a);
  });
}

// The coefficients that a row's gradient gets along U: -filter (G U) + weight (H U - c). A null gu
// or hu is a term that is off.
float combine(const ConstrainJob &job, int64_t i, int64_t k, const float *gu, const float *hu,
              float *out) {
  const float filter = gu != nullptr ? job.filter[i] : 0.0F;
  const float weight = job.weight != nullptr ? job.weight[i] : 0.0F;
  float c[HF_MAX_RANK];
  widen(job.c->dtype, at(*job.c, i, 0), k, c);
  float penalty = 0;
  for (int64_t j = 0; j < k; ++j) {
    float coefficient = gu != nullptr ? -filter * gu[j] : 0.0F;
    if (hu != nullptr) {
      const float drift = hu[j] - c[j];
      coefficient += weight != 0 ? weight * drift : 0.0F;
      penalty += drift * drift;
    }
    out[j] = coefficient;
  }
  return penalty;
}

void constrain(const ConstrainJob &job, PackedBasis u, int64_t first, int64_t last) {
  in_groups(first, last, [&](int64_t begin, int64_t end) {
    const auto on = [](const float *weights, int64_t i) {
      return weights != nullptr && weights[i] != 0;
    };
    const auto source = [&](int64_t i) { return job.rows != nullptr ? job.rows[i] : i; };
    Group read;
    Group edited;
    float a[kGroup * kStride];
    float coefficients[kRowGroup * kStride];
    for (int64_t i = begin; i < end; ++i) {
      if (on(job.filter, i)) read.add(*job.g, source(i));
      if (on(job.weight, i) || job.penalty != nullptr) read.add(*job.h, source(i));
    }
    dot(read, u, a);
    const float *next = a;
    const auto take = [&](bool there) {
      const float *taken = there ? next : nullptr;
      next += there ? kStride : 0;
      return taken;
    };
    for (int64_t i = begin; i < end; ++i) {
      const float *gu = take(on(job.filter, i));
      const float *hu = take(on(job.weight, i) || job.penalty != nullptr);
      const float penalty = combine(job, i, u.k, gu, hu, coefficients + edited.count * kStride);
      if (job.penalty != nullptr) job.penalty[i] = penalty;
      if (on(job.filter, i) || on(job.weight, i)) edited.add(*job.g, source(i));
    }
    add(edited, u, coefficients);
  });
}

}  // namespace
