// Projection, ablation and constraint: rows of hidden states against a packed basis.
//
// Rows are taken in groups, and a group's chunk of columns, in the first-level cache, meets all
// basis vectors before the next chunk: rows come from memory once, and the basis from a farther
// cache once a group. A tile of accumulators, rows x basis vectors, stays in registers, and so do
// the floats that narrower values become.
//
// What comes next is asked for ahead of time, a little with each block: memory would otherwise
// wait while products are summed.
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
  int64_t next = 0;  // bytes to where the next group's rows are likely to be

  void add(const hf_matrix &a, int64_t i) {
    dtype = a.dtype;
    next = kRowGroup * a.stride * bytes_of(a.dtype);
    row[count++] = at(a, i, 0);
  }
};

// R rows of a group from some column on: whole blocks of them in place, and what is left at their
// end in a block of its own, with zeros.
template <typename T, int R>
class Rows {
 public:
  using Raw = typename T::Raw;

  Rows(const Group &x, int64_t first, int64_t column, int64_t n) : left_(n % kLanes) {
    for (int r = 0; r < R; ++r) {
      row[r] = reinterpret_cast<Raw *>(x.row[first + r]) + column;
      if (left_ > 0) {
        last[r] = last_[r];
        std::memcpy(last[r], row[r] + (n - left_), static_cast<size_t>(left_) * sizeof(Raw));
      }
    }
  }
  bool ragged() const { return left_ > 0; }
  // The last block as it is now, back into n columns.
  void leave(int64_t n) {
    for (int r = 0; r < R; ++r) {
      std::memcpy(row[r] + (n - left_), last[r], static_cast<size_t>(left_) * sizeof(Raw));
    }
  }

  Raw *row[R];
  Raw *last[R];

 private:
  int64_t left_;
  Raw last_[R][kLanes] = {};
};

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
// block of the basis to the next. `ahead` bytes from each block is what will be wanted, if any.
template <typename T, int R, int J>
inline void dot_tile(typename T::Raw *const *x, const float *basis, int64_t step, int64_t blocks,
                     int64_t ahead, Vec *sums) {
  Vec tile[R][J];
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < J; ++p) {
      tile[r][p] = sums[r * kPanel + p];
    }
  }
  const auto add = [&](int64_t block) {
    Vec b[J];
    for (int p = 0; p < J; ++p) {
      b[p] = load(basis + block * step + p * kLanes);
    }
    for (int r = 0; r < R; ++r) {
      const Vec value = T::load(x[r] + block * kLanes);
      for (int p = 0; p < J; ++p) {
        tile[r][p] += value * b[p];
      }
    }
  };
  if (ahead == 0) {
    for (int64_t block = 0; block < blocks; ++block) {
      add(block);
    }
  } else {
    for (int64_t block = 0; block < blocks; ++block) {
      for (int r = 0; r < R; ++r) {
        prefetch(x[r] + block * kLanes, ahead);
      }
      add(block);
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
template <typename T, int R>
inline void dot_rows(typename T::Raw *const *x, const float *basis, int64_t step, int64_t blocks,
                     int64_t vectors, int64_t ahead, Vec *sums) {
  constexpr int64_t kHalf = (kTileVectors + 1) / 2;
  int64_t j = 0;
  const auto once = [&] { return j == 0 ? ahead : 0; };
  while (vectors - j >= kTileVectors && vectors - j != kTileVectors + 1) {
    dot_tile<T, R, kTileVectors>(x, basis + j * kLanes, step, blocks, once(), sums + j);
    j += kTileVectors;
  }
  for (; j + kHalf <= vectors; j += kHalf) {
    dot_tile<T, R, kHalf>(x, basis + j * kLanes, step, blocks, once(), sums + j);
  }
  for (; j < vectors; ++j) {
    dot_tile<T, R, 1>(x, basis + j * kLanes, step, blocks, once(), sums + j);
  }
}

template <typename T, int R>
void dot_chunk(const Group &x, int64_t first, PackedBasis u, int64_t panel, int64_t vectors,
               int64_t begin, int64_t n, Vec *sums) {
  const Rows<T, R> rows(x, first, begin, n);
  const float *basis = u.data + (begin * u.k + panel * kLanes);
  const int64_t step = u.k * kLanes;
  const int64_t size = sizeof(typename T::Raw);
  const int64_t ahead = begin + kColumns < u.d ? kColumns * size : x.next - begin * size;
  Vec *to = sums + first * kPanel;
  dot_rows<T, R>(rows.row, basis, step, n / kLanes, vectors, panel == 0 ? ahead : 0, to);
  if (rows.ragged()) {
    dot_rows<T, R>(rows.last, basis + n / kLanes * step, step, 1, vectors, 0, to);
  }
}

// a[r][:] = x[r] U.
template <typename T>
void dot_group(const Group &x, PackedBasis u, float *a) {
  Vec sums[kGroup * kPanel];
  for (int64_t panel = 0; panel < u.k; panel += kPanel) {
    const int64_t vectors = u.k - panel < kPanel ? u.k - panel : kPanel;
    std::memset(sums, 0, static_cast<size_t>(x.count * kPanel) * sizeof(Vec));
    for (int64_t begin = 0; begin < u.d; begin += kColumns) {
      const int64_t n = u.d - begin < kColumns ? u.d - begin : kColumns;
      int64_t r = 0;
      for (; r + kTileRows <= x.count; r += kTileRows) {
        dot_chunk<T, kTileRows>(x, r, u, panel, vectors, begin, n, sums);
      }
      for (; r < x.count; ++r) {
        dot_chunk<T, 1>(x, r, u, panel, vectors, begin, n, sums);
      }
    }
    for (int64_t r = 0; r < x.count; ++r) {
      for (int64_t j = 0; j < vectors; ++j) {
        a[r * kStride + panel + j] = sum(sums[r * kPanel + j]);
      }
    }
  }
}

void dot(const Group &x, PackedBasis u, float *a) {
  in_dtype(x.dtype, [&](auto type) { dot_group<decltype(type)>(x, u, a); });
}

// x[r] += a[r] U^T over B blocks.
template <typename T, int R, int B>
inline void add_tile(typename T::Raw *const *x, int64_t first, const float *basis, int64_t k,
                     const float *a, int64_t ahead) {
  Vec values[R][B];
  for (int r = 0; r < R; ++r) {
    for (int b = 0; b < B; ++b) {
      const auto *from = x[r] + (first + b) * kLanes;
      values[r][b] = T::load(from);
      prefetch(from, ahead);
    }
  }
  for (int64_t j = 0; j < k; ++j) {
    Vec vectors[B];
    for (int b = 0; b < B; ++b) {
      vectors[b] = load(basis + ((first + b) * k + j) * kLanes);
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
      T::store(x[r] + (first + b) * kLanes, values[r][b]);
    }
  }
}

template <typename T, int R>
void add_chunk(const Group &x, int64_t first, PackedBasis u, int64_t begin, int64_t n,
               const float *a) {
  Rows<T, R> rows(x, first, begin, n);
  const float *basis = u.data + begin * u.k;
  const int64_t blocks = n / kLanes;
  int64_t block = 0;
  for (; block + kTileBlocks <= blocks; block += kTileBlocks) {
    add_tile<T, R, kTileBlocks>(rows.row, block, basis, u.k, a + first * kStride, x.next);
  }
  for (; block < blocks; ++block) {
    add_tile<T, R, 1>(rows.row, block, basis, u.k, a + first * kStride, x.next);
  }
  if (rows.ragged()) {
    add_tile<T, R, 1>(rows.last, 0, basis + blocks * u.k * kLanes, u.k, a + first * kStride, 0);
    rows.leave(n);
  }
}

template <typename T>
void add_group(const Group &x, PackedBasis u, const float *a) {
  for (int64_t begin = 0; begin < u.d; begin += kColumns) {
    const int64_t n = u.d - begin < kColumns ? u.d - begin : kColumns;
    int64_t r = 0;
    for (; r + kTileRows <= x.count; r += kTileRows) {
      add_chunk<T, kTileRows>(x, r, u, begin, n, a);
    }
    for (; r < x.count; ++r) {
      add_chunk<T, 1>(x, r, u, begin, n, a);
    }
  }
}

// x[r] <- x[r] + a[r] U^T.
void add(const Group &x, PackedBasis u, const float *a) {
  in_dtype(x.dtype, [&](auto type) { add_group<decltype(type)>(x, u, a); });
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
