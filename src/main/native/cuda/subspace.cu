// Projection, ablation and constraint on the GPU.
//
// A block takes four rows, so that each element of the basis is loaded once for all of them.
// Threads run along the width d: reads of H and G are coalesced, the basis comes from cache. Every
// sum has one order, whatever the grid.
#include "device.cuh"

namespace holdfast {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kRows = 4;   // rows of a block
constexpr int kPanel = 8;  // basis vectors summed at a time

// The rows that a block works on; null where the group is short or an index is out of range.
struct Group {
  float *row[kRows];
};

__device__ Group group_of(const hf_matrix &a, const int64_t *rows, int64_t first, int64_t m) {
  Group group;
  for (int r = 0; r < kRows; r++) {
    const int64_t i = first + r;
    const int64_t row = i < m ? (rows == nullptr ? i : rows[i]) : -1;
    group.row[r] = row >= 0 && row < a.rows ? row_of(a, row) : nullptr;
  }
  return group;
}

// a[r][:] = x[r] U, in shared memory. Ends with a barrier.
__device__ void dot(const Group &x, const hf_matrix &u, float (*a)[HF_MAX_RANK]) {
  __shared__ float partial[kWarps][kRows][kPanel];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  for (int64_t first = 0; first < u.columns; first += kPanel) {
    float sums[kRows][kPanel] = {};
    for (int64_t i = threadIdx.x; i < u.rows; i += kThreads) {
      const float *basis = row_of(u, i) + first;
      float b[kPanel];
      for (int p = 0; p < kPanel; p++) {
        b[p] = first + p < u.columns ? basis[p] : 0.0F;
      }
      for (int r = 0; r < kRows; r++) {
        const float value = x.row[r] != nullptr ? x.row[r][i] : 0.0F;
        for (int p = 0; p < kPanel; p++) {
          sums[r][p] += value * b[p];
        }
      }
    }
    for (int r = 0; r < kRows; r++) {
      for (int p = 0; p < kPanel; p++) {
        const float sum = warp_sum(sums[r][p]);
        if (lane == 0) partial[warp][r][p] = sum;
      }
    }
    __syncthreads();
    if (threadIdx.x < kRows * kPanel) {
      const int r = static_cast<int>(threadIdx.x) / kPanel;
      const int p = static_cast<int>(threadIdx.x) % kPanel;
      float sum = 0;
      for (int w = 0; w < kWarps; w++) {
        sum += partial[w][r][p];
      }
      if (first + p < u.columns) a[r][first + p] = sum;
    }
    __syncthreads();
  }
}

// x[r] <- x[r] + a[r] U^T
__device__ void add(const Group &x, const hf_matrix &u, const float (*a)[HF_MAX_RANK]) {
  for (int64_t i = threadIdx.x; i < u.rows; i += kThreads) {
    const float *basis = row_of(u, i);
    float sums[kRows] = {};
    for (int64_t j = 0; j < u.columns; j++) {
      const float b = basis[j];
      for (int r = 0; r < kRows; r++) {
        sums[r] += a[r][j] * b;
      }
    }
    for (int r = 0; r < kRows; r++) {
      if (x.row[r] != nullptr) x.row[r][i] += sums[r];
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    project_kernel(hf_matrix h, const int64_t *rows, hf_matrix u, hf_matrix c) {
  __shared__ float a[kRows][HF_MAX_RANK];
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kRows; first < c.rows;
       first += static_cast<int64_t>(gridDim.x) * kRows) {
    const Group x = group_of(h, rows, first, c.rows);
    dot(x, u, a);
    for (int r = 0; r < kRows; r++) {
      for (int64_t j = threadIdx.x; x.row[r] != nullptr && j < u.columns; j += kThreads) {
        row_of(c, first + r)[j] = a[r][j];
      }
    }
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kThreads) ablate_kernel(hf_matrix h, hf_matrix u) {
  __shared__ float a[kRows][HF_MAX_RANK];
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kRows; first < h.rows;
       first += static_cast<int64_t>(gridDim.x) * kRows) {
    const Group x = group_of(h, nullptr, first, h.rows);
    dot(x, u, a);
    for (int r = 0; r < kRows; r++) {
      for (int64_t j = threadIdx.x; j < u.columns; j += kThreads) {
        a[r][j] = -a[r][j];
      }
    }
    __syncthreads();
    add(x, u, a);
    __syncthreads();
  }
}

struct ConstrainJob {
  hf_matrix g, h;
  const int64_t *rows;
  hf_matrix u, c;
  const float *filter, *weight;
  float *penalty;
};

__device__ float weight_of(const float *weights, int64_t i, int64_t m) {
  return weights != nullptr && i < m ? weights[i] : 0.0F;
}

// gu[r] <- the coefficients to add along U: weight (h U - c) - filter (g U), a term being absent
// where its weight is 0. One warp a row.
__device__ void combine(const ConstrainJob &job, const Group &g, int64_t first, bool measured,
                        float (*gu)[HF_MAX_RANK], const float (*hu)[HF_MAX_RANK]) {
  const int r = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (r >= kRows || g.row[r] == nullptr) return;
  const int64_t i = first + r;
  const float filter = weight_of(job.filter, i, job.c.rows);
  const float weight = weight_of(job.weight, i, job.c.rows);
  const float *c = row_of(job.c, i);
  float penalty = 0;
  for (int64_t j = lane; j < job.u.columns; j += kWarp) {
    float coefficient = filter != 0 ? -filter * gu[r][j] : 0.0F;
    if (measured) {
      const float drift = hu[r][j] - c[j];
      coefficient += weight != 0 ? weight * drift : 0.0F;
      penalty += drift * drift;
    }
    gu[r][j] = coefficient;
  }
  penalty = warp_sum(penalty);
  if (job.penalty != nullptr && lane == 0) job.penalty[i] = penalty;
}

__global__ void __launch_bounds__(kThreads) constrain_kernel(ConstrainJob job) {
  __shared__ float gu[kRows][HF_MAX_RANK];
  __shared__ float hu[kRows][HF_MAX_RANK];
  const int64_t m = job.c.rows;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kRows; first < m;
       first += static_cast<int64_t>(gridDim.x) * kRows) {
    const Group g = group_of(job.g, job.rows, first, m);
    const Group h = group_of(job.h, job.rows, first, m);
    bool filtered = false;
    bool weighted = false;
    for (int r = 0; r < kRows; r++) {
      filtered = filtered || weight_of(job.filter, first + r, m) != 0;
      weighted = weighted || weight_of(job.weight, first + r, m) != 0;
    }
    const bool measured = weighted || job.penalty != nullptr;
    if (filtered) dot(g, job.u, gu);
    if (measured) dot(h, job.u, hu);
    combine(job, g, first, measured, gu, hu);
    __syncthreads();
    if (filtered || weighted) add(g, job.u, gu);
    __syncthreads();
  }
}

int64_t groups(int64_t rows) { return (rows + kRows - 1) / kRows; }

}  // namespace
}  // namespace holdfast

using namespace holdfast;

extern "C" {

int64_t hf_subspace_scratch(int64_t d, int64_t k) {
  int32_t status = check_rank(d, k);
  return status == HF_OK ? 0 : -status;
}

int32_t hf_project(const hf_matrix *h, const int64_t *rows, const hf_matrix *u, const hf_matrix *c,
                   void *scratch, void *stream) {
  if (int32_t status = check_project(h, rows, u, c, scratch)) return status;
  if (int32_t status = check_on_device(*h, "h")) return status;
  return launch(project_kernel, groups(c->rows), kThreads, stream, *h, rows, *u, *c);
}

int32_t hf_ablate(const hf_matrix *h, const hf_matrix *u, void *scratch, void *stream) {
  if (int32_t status = check_ablate(h, u, scratch)) return status;
  if (int32_t status = check_on_device(*h, "h")) return status;
  return launch(ablate_kernel, groups(h->rows), kThreads, stream, *h, *u);
}

int32_t hf_constrain(const hf_matrix *g, const hf_matrix *h, const int64_t *rows,
                     const hf_matrix *u, const hf_matrix *c, const float *filter,
                     const float *weight, float *penalty, void *scratch, void *stream) {
  if (int32_t status = check_constrain(g, h, rows, u, c, filter, weight, penalty, scratch)) {
    return status;
  }
  if (int32_t status = check_on_device(*g, "g")) return status;
  const ConstrainJob job = {*g, *h, rows, *u, *c, filter, weight, penalty};
  return launch(constrain_kernel, groups(c->rows), kThreads, stream, job);
}
}
