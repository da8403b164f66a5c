// Projection, ablation and the safety-subspace constraint: products of many rows with a tall, thin
// basis. A group of rows shares each load of the basis; every row is summed by one thread in one
// order.
#include <algorithm>

#include "../common.hpp"
#include "simd.hpp"

namespace holdfast {
namespace {

constexpr int kGroup = 4;   // rows that share a load of the basis
constexpr int kTile = 16;   // directions summed at a time, one vector
constexpr int kBlock = 64;  // columns of the residual stream updated at a time

const float *row_of(const hf_matrix &m, int64_t row) {
  return static_cast<const float *>(m.data) + row * m.stride;
}

float *row_of_mutable(const hf_matrix &m, int64_t row) {
  return static_cast<float *>(m.data) + row * m.stride;
}

// sums[i][t] = x[i] . U[:, first + t] for a group of rows; missing rows repeat the first.
HF_CLONES void project_group(const float *const *x, const float *u, int64_t stride, int64_t d,
                             int width, float *sums) {
  float acc[kGroup][kTile] = {};
  if (width == kTile) {
    for (int64_t j = 0; j < d; j++) {
      const float *row = u + j * stride;
      for (int i = 0; i < kGroup; i++) {
        float value = x[i][j];
        for (int t = 0; t < kTile; t++) acc[i][t] += value * row[t];
      }
    }
  } else {
    for (int64_t j = 0; j < d; j++) {
      const float *row = u + j * stride;
      for (int i = 0; i < kGroup; i++) {
        for (int t = 0; t < width; t++) acc[i][t] += x[i][j] * row[t];
      }
    }
  }
  for (int i = 0; i < kGroup; i++) {
    for (int t = 0; t < kTile; t++) sums[i * kTile + t] = acc[i][t];
  }
}

// y[i] += U e[i] for a group of rows; e is [kGroup][HF_MAX_RANK].
HF_CLONES void expand_group(float *const *y, int rows, const float *u, int64_t stride, int64_t d,
                            int64_t k, const float *e) {
  float tile[kTile][kBlock];
  for (int64_t j = 0; j < d; j += kBlock) {
    int columns = static_cast<int>(std::min<int64_t>(kBlock, d - j));
    float sum[kGroup][kBlock] = {};
    for (int64_t first = 0; first < k; first += kTile) {
      int width = static_cast<int>(std::min<int64_t>(kTile, k - first));
      for (int c = 0; c < columns; c++) {
        for (int t = 0; t < width; t++) tile[t][c] = u[(j + c) * stride + first + t];
      }
      for (int i = 0; i < rows; i++) {
        for (int t = 0; t < width; t++) {
          float factor = e[i * HF_MAX_RANK + first + t];
          for (int c = 0; c < columns; c++) sum[i][c] += factor * tile[t][c];
        }
      }
    }
    for (int i = 0; i < rows; i++) {
      for (int c = 0; c < columns; c++) y[i][j + c] += sum[i][c];
    }
  }
}

void project_rows(const float *const *x, const hf_matrix &u, float *out) {
  for (int64_t first = 0; first < u.columns; first += kTile) {
    int width = static_cast<int>(std::min<int64_t>(kTile, u.columns - first));
    float sums[kGroup * kTile];
    project_group(x, row_of(u, 0) + first, u.stride, u.rows, width, sums);
    for (int i = 0; i < kGroup; i++) {
      for (int t = 0; t < width; t++) out[i * HF_MAX_RANK + first + t] = sums[i * kTile + t];
    }
  }
}

int32_t check_index(const int64_t *rows, int64_t count, int64_t limit) {
  if (rows == nullptr) return HF_OK;
  for (int64_t i = 0; i < count; i++) {
    if (rows[i] < 0 || rows[i] >= limit) {
      return fail(HF_INVALID, "rows[%lld]: %lld is not one of %lld rows", static_cast<long long>(i),
                  static_cast<long long>(rows[i]), static_cast<long long>(limit));
    }
  }
  return HF_OK;
}

int64_t index_of(const int64_t *rows, int64_t i) { return rows == nullptr ? i : rows[i]; }

void constrain_group(const hf_matrix &g, const hf_matrix &h, const int64_t *rows,
                     const hf_matrix &u, const hf_matrix &c, const float *filter,
                     const float *weight, float *penalty, int64_t first, int count) {
  const float *hidden[kGroup];
  const float *gradient[kGroup];
  float *target[kGroup];
  for (int i = 0; i < kGroup; i++) {
    int64_t row = index_of(rows, first + (i < count ? i : 0));
    hidden[i] = row_of(h, row);
    target[i] = row_of_mutable(g, row);
    gradient[i] = target[i];
  }
  float in_hidden[kGroup * HF_MAX_RANK];
  float in_gradient[kGroup * HF_MAX_RANK];
  bool filtered = filter != nullptr;
  project_rows(hidden, u, in_hidden);
  if (filtered) project_rows(gradient, u, in_gradient);
  for (int i = 0; i < count; i++) {
    const float *reference = row_of(c, first + i);
    float w = weight == nullptr ? 0.0f : weight[first + i];
    float f = filtered ? filter[first + i] : 0.0f;
    double distance = 0;
    for (int64_t t = 0; t < u.columns; t++) {
      float moved = in_hidden[i * HF_MAX_RANK + t] - reference[t];
      distance += static_cast<double>(moved) * moved;
      float edit = w == 0.0f ? 0.0f : w * moved;
      if (f != 0.0f) edit -= f * in_gradient[i * HF_MAX_RANK + t];
      in_hidden[i * HF_MAX_RANK + t] = edit;
    }
    if (penalty != nullptr) penalty[first + i] = static_cast<float>(distance);
  }
  expand_group(target, count, row_of(u, 0), u.stride, u.rows, u.columns, in_hidden);
}

}  // namespace
}  // namespace holdfast

using namespace holdfast;

extern "C" int32_t hf_project(const hf_matrix *h, const int64_t *rows, const hf_matrix *u,
                              const hf_matrix *c, void *) {
  if (int32_t status = check_matrix(h, "h")) return status;
  if (int32_t status = check_basis(u, h->columns)) return status;
  if (int32_t status = check_matrix(c, "c")) return status;
  if (int32_t status = check_same(c, "c", c->rows, u->columns)) return status;
  if (int32_t status = check_rows(h, rows, c)) return status;
  if (int32_t status = check_index(rows, c->rows, h->rows)) return status;
  int64_t groups = (c->rows + kGroup - 1) / kGroup;
#pragma omp parallel for schedule(static) if (c->rows * h->columns * u->columns > kParallelWork)
  for (int64_t group = 0; group < groups; group++) {
    int64_t first = group * kGroup;
    int count = static_cast<int>(std::min<int64_t>(kGroup, c->rows - first));
    const float *x[kGroup];
    for (int i = 0; i < kGroup; i++) {
      x[i] = row_of(*h, index_of(rows, first + (i < count ? i : 0)));
    }
    float sums[kGroup * HF_MAX_RANK];
    project_rows(x, *u, sums);
    for (int i = 0; i < count; i++) {
      std::copy_n(sums + i * HF_MAX_RANK, u->columns, row_of_mutable(*c, first + i));
    }
  }
  return HF_OK;
}

extern "C" int32_t hf_ablate(const hf_matrix *h, const hf_matrix *u, void *) {
  if (int32_t status = check_matrix(h, "h")) return status;
  if (int32_t status = check_basis(u, h->columns)) return status;
  int64_t groups = (h->rows + kGroup - 1) / kGroup;
#pragma omp parallel for schedule(static) if (h->rows * h->columns * u->columns > kParallelWork)
  for (int64_t group = 0; group < groups; group++) {
    int64_t first = group * kGroup;
    int count = static_cast<int>(std::min<int64_t>(kGroup, h->rows - first));
    const float *x[kGroup];
    float *y[kGroup];
    for (int i = 0; i < kGroup; i++) {
      y[i] = row_of_mutable(*h, first + (i < count ? i : 0));
      x[i] = y[i];
    }
    float e[kGroup * HF_MAX_RANK];
    project_rows(x, *u, e);
    for (int i = 0; i < count; i++) {
      for (int64_t t = 0; t < u->columns; t++) e[i * HF_MAX_RANK + t] = -e[i * HF_MAX_RANK + t];
    }
    expand_group(y, count, row_of(*u, 0), u->stride, u->rows, u->columns, e);
  }
  return HF_OK;
}

extern "C" int32_t hf_constrain(const hf_matrix *g, const hf_matrix *h, const int64_t *rows,
                                const hf_matrix *u, const hf_matrix *c, const float *filter,
                                const float *weight, float *penalty, void *) {
  if (int32_t status = check_matrix(h, "h")) return status;
  if (int32_t status = check_same(g, "g", h->rows, h->columns)) return status;
  if (int32_t status = check_basis(u, h->columns)) return status;
  if (int32_t status = check_matrix(c, "c")) return status;
  if (int32_t status = check_same(c, "c", c->rows, u->columns)) return status;
  if (int32_t status = check_rows(h, rows, c)) return status;
  if (int32_t status = check_index(rows, c->rows, h->rows)) return status;
  int64_t groups = (c->rows + kGroup - 1) / kGroup;
#pragma omp parallel for schedule(static) if (c->rows * h->columns * u->columns > kParallelWork)
  for (int64_t group = 0; group < groups; group++) {
    int64_t first = group * kGroup;
    int count = static_cast<int>(std::min<int64_t>(kGroup, c->rows - first));
    constrain_group(*g, *h, rows, *u, *c, filter, weight, penalty, first, count);
  }
  return HF_OK;
}
