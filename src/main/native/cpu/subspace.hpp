// Projection, ablation and constraint: rows of hidden states against a packed basis.
//
// A group of four rows is read against each vector of the basis, so the basis streams from cache a
// quarter as often; the coefficients a stay on the stack between the two sweeps over a row.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace {

using holdfast::ConstrainJob;
using holdfast::kRowGroup;
using holdfast::PackedBasis;

// Basis vectors held against a row group at once: accumulators stay in registers.
#if HF_LANES == 16 || defined(__aarch64__)
constexpr int64_t kPanel = 4;
#else
constexpr int64_t kPanel = 2;
#endif

// From one row's coefficients to the next's.
constexpr int64_t kStride = HF_MAX_RANK;

inline float *row(const hf_matrix *a, int64_t i) {
  return static_cast<float *>(a->data) + i * a->stride;
}

void pack(const hf_matrix *u, int64_t first, int64_t last, float *to) {
  const int64_t k = u->columns;
  for (int64_t block = first; block < last; ++block) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const int64_t i = block * kLanes + lane;
      for (int64_t j = 0; j < k; ++j) {
        to[(block * k + j) * kLanes + lane] = i < u->rows ? row(u, i)[j] : 0.0F;
      }
    }
  }
}

// a[r][j] = x[r] . U[:, j] for R rows and J basis vectors from j.
template <int R, int J>
void dot_panel(float *const *x, PackedBasis u, int64_t j, float *a) {
  Vec sums[R][J] = {};
  const auto block = [&](int64_t i, const Vec *values) {
    const float *basis = u.data + (i / kLanes * u.k + j) * kLanes;
    for (int p = 0; p < J; ++p) {
      const Vec b = load(basis + p * kLanes);
      for (int r = 0; r < R; ++r) {
        sums[r][p] += values[r] * b;
      }
    }
  };
  Vec values[R];
  int64_t i = 0;
  for (; i + kLanes <= u.d; i += kLanes) {
    for (int r = 0; r < R; ++r) {
      values[r] = load(x[r] + i);
    }
    block(i, values);
  }
  if (i < u.d) {
    for (int r = 0; r < R; ++r) {
      values[r] = load_part(x[r] + i, u.d - i, 0.0F);
    }
    block(i, values);
  }
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < J; ++p) {
      a[r * kStride + j + p] = sum(sums[r][p]);
    }
  }
}

// a[r][:] = x[r] U.
template <int R>
void dot(float *const *x, PackedBasis u, float *a) {
  int64_t j = 0;
  for (; j + kPanel <= u.k; j += kPanel) {
    dot_panel<R, kPanel>(x, u, j, a);
  }
  for (; j < u.k; ++j) {
    dot_panel<R, 1>(x, u, j, a);
  }
}

// x[r] <- x[r] + a[r] U^T.
template <int R>
void add(float *const *x, PackedBasis u, const float *a) {
  const auto block = [&](int64_t i, Vec *values) {
    const float *basis = u.data + i * u.k;
    for (int64_t j = 0; j < u.k; ++j) {
      const Vec b = load(basis + j * kLanes);
      for (int r = 0; r < R; ++r) {
        values[r] += splat(a[r * kStride + j]) * b;
      }
    }
  };
  Vec values[R];
  int64_t i = 0;
  for (; i + kLanes <= u.d; i += kLanes) {
    for (int r = 0; r < R; ++r) {
      values[r] = load(x[r] + i);
    }
    block(i, values);
    for (int r = 0; r < R; ++r) {
      store(x[r] + i, values[r]);
    }
  }
  if (i < u.d) {
    for (int r = 0; r < R; ++r) {
      values[r] = load_part(x[r] + i, u.d - i, 0.0F);
    }
    block(i, values);
    for (int r = 0; r < R; ++r) {
      store_part(x[r] + i, u.d - i, values[r]);
    }
  }
}

template <int R>
void project_group(const hf_matrix *h, const int64_t *rows, PackedBasis u, const hf_matrix *c,
                   int64_t first) {
  float *x[R];
  float a[R * HF_MAX_RANK];
  for (int r = 0; r < R; ++r) {
    x[r] = row(h, rows != nullptr ? rows[first + r] : first + r);
  }
  dot<R>(x, u, a);
  for (int r = 0; r < R; ++r) {
    std::memcpy(row(c, first + r), a + r * kStride, static_cast<size_t>(u.k) * sizeof(float));
  }
}

template <int R>
void ablate_group(const hf_matrix *h, PackedBasis u, int64_t first) {
  float *x[R];
  float a[R * HF_MAX_RANK];
  for (int r = 0; r < R; ++r) {
    x[r] = row(h, first + r);
  }
  dot<R>(x, u, a);
  for (int r = 0; r < R; ++r) {
    for (int64_t j = 0; j < u.k; ++j) {
      a[r * kStride + j] = -a[r * kStride + j];
    }
  }
  add<R>(x, u, a);
}

template <int R>
void constrain_group(const ConstrainJob &job, PackedBasis u, int64_t first) {
  float *g[R];
  float *h[R];
  float a[R * HF_MAX_RANK];
  float hu[R * HF_MAX_RANK];
  bool filtered = false;
  bool weighted = false;
  for (int r = 0; r < R; ++r) {
    const int64_t i = job.rows != nullptr ? job.rows[first + r] : first + r;
    g[r] = row(job.g, i);
    h[r] = row(job.h, i);
    filtered = filtered || (job.filter != nullptr && job.filter[first + r] != 0);
    weighted = weighted || (job.weight != nullptr && job.weight[first + r] != 0);
  }
  if (filtered) {
    dot<R>(g, u, a);
  }
  if (weighted || job.penalty != nullptr) {
    dot<R>(h, u, hu);
  }
  for (int r = 0; r < R; ++r) {
    const float filter = filtered ? job.filter[first + r] : 0.0F;
    const float weight = weighted ? job.weight[first + r] : 0.0F;
    const float *c = row(job.c, first + r);
    float *gu = a + r * kStride;
    float penalty = 0;
    for (int64_t j = 0; j < u.k; ++j) {
      float coefficient = filter != 0 ? -filter * gu[j] : 0.0F;
      if (weight != 0 || job.penalty != nullptr) {
        const float drift = hu[r * kStride + j] - c[j];
        coefficient += weight != 0 ? weight * drift : 0.0F;
        penalty += drift * drift;
      }
      gu[j] = coefficient;
    }
    if (job.penalty != nullptr) {
      job.penalty[first + r] = penalty;
    }
  }
  if (filtered || weighted) {
    add<R>(g, u, a);
  }
}

// Calls body<4> for whole groups and body<1> for what is left.
#define HF_IN_GROUPS(body, ...)                        \
  int64_t i = first;                                   \
  for (; i + kRowGroup <= last; i += kRowGroup) {      \
    body<static_cast<int>(kRowGroup)>(__VA_ARGS__, i); \
  }                                                    \
  for (; i < last; ++i) {                              \
    body<1>(__VA_ARGS__, i);                           \
  }

void project(const hf_matrix *h, const int64_t *rows, PackedBasis u, const hf_matrix *c,
             int64_t first, int64_t last) {
  HF_IN_GROUPS(project_group, h, rows, u, c)
}

void ablate(const hf_matrix *h, PackedBasis u, int64_t first, int64_t last) {
  HF_IN_GROUPS(ablate_group, h, u)
}

void constrain(const ConstrainJob &job, PackedBasis u, int64_t first, int64_t last) {
  HF_IN_GROUPS(constrain_group, job, u)
}

#undef HF_IN_GROUPS

}  // namespace
