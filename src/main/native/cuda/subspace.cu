// Projection, ablation and constraint on the GPU.
//
// 16-bit rows of up to 64 basis vectors go through tensor cores (tiles.cuh): at k = 16 plain
// arithmetic would take longer than the memory. Float32 rows stay in plain arithmetic, which keeps
// their precision: there a block takes four rows, so that each element of the basis is loaded once
// for all of them, and threads run along the width d, so that reads of H and G are coalesced. Every
// sum has one order, whatever the grid.
#include "tiles.cuh"

namespace holdfast {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kRows = 4;   // rows of a block
constexpr int kPanel = 8;  // basis vectors summed at a time

// The row of a matrix that item i of the selection names; null beyond the selection or the matrix.
template <typename T>
__device__ T *selected(const hf_matrix &a, const int64_t *rows, int64_t i, int64_t m) {
  const int64_t row = i < m ? (rows == nullptr ? i : rows[i]) : -1;
  return row >= 0 && row < a.rows ? row_of<T>(a, row) : nullptr;
}

// The rows that a block works on.
template <typename T>
struct Group {
  T *row[kRows];
};

template <typename T>
__device__ Group<T> group_of(const hf_matrix &a, const int64_t *rows, int64_t first, int64_t m) {
  Group<T> group;
  for (int r = 0; r < kRows; r++) group.row[r] = selected<T>(a, rows, first + r, m);
  return group;
}

// Elements first to first + 7 of row i of the basis, zeros beyond it.
__device__ void load_panel(const hf_matrix &u, int64_t i, int64_t first, float (&b)[kPanel]) {
  if (u.dtype == HF_FLOAT32) {
    const float *basis = row_of<float>(u, i) + first;
    for (int p = 0; p < kPanel; p++) b[p] = first + p < u.columns ? basis[p] : 0.0F;
  } else {
    for (int p = 0; p < kPanel; p++) b[p] = first + p < u.columns ? element(u, i, first + p) : 0.0F;
  }
}

// a[r][:] = x[r] U, in shared memory. Ends with a barrier.
template <typename T>
__device__ void dot(const Group<T> &x, const hf_matrix &u, float (*a)[HF_MAX_RANK]) {
  __shared__ float partial[kWarps][kRows][kPanel];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  for (int64_t first = 0; first < u.columns; first += kPanel) {
    float sums[kRows][kPanel] = {};
    for (int64_t i = threadIdx.x; i < u.rows; i += kThreads) {
      float b[kPanel];
      load_panel(u, i, first, b);
      for (int r = 0; r < kRows; r++) {
        const float value = x.row[r] != nullptr ? to_float(x.row[r][i]) : 0.0F;
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
template <typename T>
__device__ void add(const Group<T> &x, const hf_matrix &u, const float (*a)[HF_MAX_RANK]) {
  for (int64_t i = threadIdx.x; i < u.rows; i += kThreads) {
    float sums[kRows] = {};
    for (int64_t first = 0; first < u.columns; first += kPanel) {
      float b[kPanel];
      load_panel(u, i, first, b);
      for (int p = 0; p < kPanel && first + p < u.columns; p++) {
        for (int r = 0; r < kRows; r++) {
          sums[r] += a[r][first + p] * b[p];
        }
      }
    }
    for (int r = 0; r < kRows; r++) {
      if (x.row[r] != nullptr) x.row[r][i] = from_float<T>(to_float(x.row[r][i]) + sums[r]);
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    project_kernel(hf_matrix h, const int64_t *rows, hf_matrix u, hf_matrix c) {
  __shared__ float a[kRows][HF_MAX_RANK];
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kRows; first < c.rows;
       first += static_cast<int64_t>(gridDim.x) * kRows) {
    const Group<T> x = group_of<T>(h, rows, first, c.rows);
    dot(x, u, a);
    for (int r = 0; r < kRows; r++) {
      for (int64_t j = threadIdx.x; x.row[r] != nullptr && j < u.columns; j += kThreads) {
        set_element(c.dtype, c.data, (first + r) * c.stride + j, a[r][j]);
      }
    }
    __syncthreads();
  }
}

template <typename T>
__global__ void __launch_bounds__(kTileThreads)
    project_tiles_kernel(hf_matrix h, const int64_t *rows, hf_matrix u, hf_matrix c, bool wide) {
  __shared__ TileMemory<T> memory;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kTileRows; first < c.rows;
       first += static_cast<int64_t>(gridDim.x) * kTileRows) {
    const T *row = selected<T>(h, rows, first + thread_row(), c.rows);
    dot_tiles<T>(memory, row, u, wide, [&](int r, int j, float sum) {
      if (selected<T>(h, rows, first + r, c.rows) != nullptr) {
        set_element(c.dtype, c.data, (first + r) * c.stride + j, sum);
      }
    });
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) ablate_kernel(hf_matrix h, hf_matrix u) {
  __shared__ float a[kRows][HF_MAX_RANK];
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kRows; first < h.rows;
       first += static_cast<int64_t>(gridDim.x) * kRows) {
    const Group<T> x = group_of<T>(h, nullptr, first, h.rows);
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

template <typename T>
__global__ void __launch_bounds__(kTileThreads)
    ablate_tiles_kernel(hf_matrix h, hf_matrix u, bool wide) {
  __shared__ TileMemory<T> memory;
  __shared__ Coefficients a;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kTileRows; first < h.rows;
       first += static_cast<int64_t>(gridDim.x) * kTileRows) {
    T *row = selected<T>(h, nullptr, first + thread_row(), h.rows);
    dot_tiles<T>(memory, row, u, wide, [&](int r, int j, float sum) { a[r][j] = -sum; });
    add_tiles<T>(memory, row, u, wide, a);
  }
}

struct ConstrainJob {
  hf_matrix g, h;
  const int64_t *rows;
  hf_matrix u, c;
  const float *filter, *weight;
  float *penalty;
  bool wide;  // rows may be read 16 bytes at a time
};

__device__ float weight_of(const float *weights, int64_t i, int64_t m) {
  return weights != nullptr && i < m ? weights[i] : 0.0F;
}

// gu[r] <- the coefficients to add along U: weight (h U - c) - filter (g U), a term being absent
// where its weight is 0. One warp a row.
template <typename T>
__device__ void combine(const ConstrainJob &job, const Group<T> &g, int64_t first, bool measured,
                        float (*gu)[HF_MAX_RANK], const float (*hu)[HF_MAX_RANK]) {
  const int r = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (r >= kRows || g.row[r] == nullptr) return;
  const int64_t i = first + r;
  const float filter = weight_of(job.filter, i, job.c.rows);
  const float weight = weight_of(job.weight, i, job.c.rows);
  float penalty = 0;
  for (int64_t j = lane; j < job.u.columns; j += kWarp) {
    float coefficient = filter != 0 ? -filter * gu[r][j] : 0.0F;
    if (measured) {
      const float drift = hu[r][j] - element(job.c, i, j);
      coefficient += weight != 0 ? weight * drift : 0.0F;
      penalty += drift * drift;
    }
    gu[r][j] = coefficient;
  }
  penalty = warp_sum(penalty);
  if (job.penalty != nullptr && lane == 0) job.penalty[i] = penalty;
}

// Whether any of some rows has a weight.
__device__ bool any(const float *weights, int64_t first, int rows, int64_t m) {
  bool found = false;
  for (int r = 0; r < rows; r++) found = found || weight_of(weights, first + r, m) != 0;
  return found;
}

template <typename T>
__global__ void __launch_bounds__(kThreads) constrain_kernel(ConstrainJob job) {
  __shared__ float gu[kRows][HF_MAX_RANK];
  __shared__ float hu[kRows][HF_MAX_RANK];
  const int64_t m = job.c.rows;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kRows; first < m;
       first += static_cast<int64_t>(gridDim.x) * kRows) {
    const Group<T> g = group_of<T>(job.g, job.rows, first, m);
    const Group<T> h = group_of<T>(job.h, job.rows, first, m);
    const bool filtered = any(job.filter, first, kRows, m);
    const bool weighted = any(job.weight, first, kRows, m);
    const bool measured = weighted || job.penalty != nullptr;
    if (filtered) dot(g, job.u, gu);
    if (measured) dot(h, job.u, hu);
    combine(job, g, first, measured, gu, hu);
    __syncthreads();
    if (filtered || weighted) add(g, job.u, gu);
    __syncthreads();
  }
}

// a[r] from drifts to what they add; the rows' penalties. One warp for every eighth row.
__device__ inline void weigh(const ConstrainJob &job, int64_t first, Coefficients &a) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int r = static_cast<int>(threadIdx.x) / kWarp; r < kTileRows; r += kTileThreads / kWarp) {
    const int64_t i = first + r;
    const float weight = weight_of(job.weight, i, job.c.rows);
    float penalty = 0;
    for (int j = lane; j < job.u.columns; j += kWarp) {
      const float drift = a[r][j];
      penalty += drift * drift;
      a[r][j] = weight != 0 ? weight * drift : 0.0F;
    }
    penalty = warp_sum(penalty);
    if (lane == 0 && job.penalty != nullptr && i < job.c.rows) job.penalty[i] = penalty;
  }
}

template <typename T>
__global__ void __launch_bounds__(kTileThreads) constrain_tiles_kernel(ConstrainJob job) {
  __shared__ TileMemory<T> memory;
  __shared__ Coefficients a;
  const int64_t m = job.c.rows;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kTileRows; first < m;
       first += static_cast<int64_t>(gridDim.x) * kTileRows) {
    T *g = selected<T>(job.g, job.rows, first + thread_row(), m);
    const T *h = selected<T>(job.h, job.rows, first + thread_row(), m);
    const bool filtered = any(job.filter, first, kTileRows, m);
    const bool weighted = any(job.weight, first, kTileRows, m);
    if (weighted || job.penalty != nullptr) {
      dot_tiles<T>(memory, h, job.u, job.wide, [&](int r, int j, float sum) {
        a[r][j] = first + r < m ? sum - element(job.c, first + r, j) : 0.0F;
      });
      weigh(job, first, a);
    } else {
      for (int i = static_cast<int>(threadIdx.x); i < kTileRows * kFloats; i += kTileThreads) {
        a[i / kFloats][i % kFloats] = 0;
      }
    }
    __syncthreads();
    if (filtered) {
      dot_tiles<T>(memory, g, job.u, job.wide, [&](int r, int j, float sum) {
        const float filter = weight_of(job.filter, first + r, m);
        a[r][j] += filter != 0 ? -filter * sum : 0.0F;
      });
    }
    if (filtered || weighted) add_tiles<T>(memory, g, job.u, job.wide, a);
    __syncthreads();
  }
}

int64_t groups(int64_t rows, int64_t each) { return (rows + each - 1) / each; }

// Whether tensor cores have the precision, and room for the basis.
bool on_tensor_cores(const hf_matrix &h, const hf_matrix &u) {
  return u.columns > 0 && u.columns <= kTileRank && h.dtype != HF_FLOAT32;
}

template <typename Body>
int32_t with_half(int32_t dtype, const Body &body) {
  if (dtype == HF_BFLOAT16) return body(static_cast<__nv_bfloat16 *>(nullptr));
  return body(static_cast<__half *>(nullptr));
}

template <typename Pointer>
using Pointee = std::remove_pointer_t<Pointer>;

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
  if (on_tensor_cores(*h, *u)) {
    return with_half(h->dtype, [&](auto *type) {
      return launch(project_tiles_kernel<Pointee<decltype(type)>>, groups(c->rows, kTileRows),
                    kTileThreads, stream, *h, rows, *u, *c, is_wide(*h));
    });
  }
  return with_type(h->dtype, [&](auto *type) {
    return launch(project_kernel<Pointee<decltype(type)>>, groups(c->rows, kRows), kThreads, stream,
                  *h, rows, *u, *c);
  });
}

int32_t hf_ablate(const hf_matrix *h, const hf_matrix *u, void *scratch, void *stream) {
  if (int32_t status = check_ablate(h, u, scratch)) return status;
  if (int32_t status = check_on_device(*h, "h")) return status;
  if (on_tensor_cores(*h, *u)) {
    return with_half(h->dtype, [&](auto *type) {
      return launch(ablate_tiles_kernel<Pointee<decltype(type)>>, groups(h->rows, kTileRows),
                    kTileThreads, stream, *h, *u, is_wide(*h));
    });
  }
  return with_type(h->dtype, [&](auto *type) {
    return launch(ablate_kernel<Pointee<decltype(type)>>, groups(h->rows, kRows), kThreads, stream,
                  *h, *u);
  });
}

int32_t hf_constrain(const hf_matrix *g, const hf_matrix *h, const int64_t *rows,
                     const hf_matrix *u, const hf_matrix *c, const float *filter,
                     const float *weight, float *penalty, void *scratch, void *stream) {
  if (int32_t status = check_constrain(g, h, rows, u, c, filter, weight, penalty, scratch)) {
    return status;
  }
  if (int32_t status = check_on_device(*g, "g")) return status;
  const ConstrainJob job = {
      *g, *h, rows, *u, *c, filter, weight, penalty, is_wide(*g) && is_wide(*h)};
  if (on_tensor_cores(*h, *u)) {
    return with_half(h->dtype, [&](auto *type) {
      return launch(constrain_tiles_kernel<Pointee<decltype(type)>>, groups(c->rows, kTileRows),
                    kTileThreads, stream, job);
    });
  }
  return with_type(h->dtype, [&](auto *type) {
    return launch(constrain_kernel<Pointee<decltype(type)>>, groups(c->rows, kRows), kThreads,
                  stream, job);
  });
}
}
