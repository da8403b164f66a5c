// Projection, ablation and constraint on the GPU: rows against a basis, by whichever products suit
// the rows' type and alignment and the basis's rank. Up to 8 basis vectors plain arithmetic keeps
// up with the memory (rows.cuh); at k = 16 it would take longer, and 16-bit rows go through tensor
// cores (tiles.cuh). Float32 rows stay in plain arithmetic, which keeps their precision.
#include "high_rank.cuh"
#include "tiles.cuh"

namespace holdfast {
namespace {

constexpr int64_t kFew = 8;  // basis vectors

// The row of a matrix that item i of the selection names; -1 beyond the selection or the matrix.
__device__ inline int64_t selected(const hf_matrix &a, const int64_t *rows, int64_t i, int64_t m) {
  const int64_t row = i < m ? (rows == nullptr ? i : rows[i]) : -1;
  return row < a.rows ? row : -1;
}

// The same row's first element, or null.
template <typename T>
__device__ T *first_of(const hf_matrix &a, const int64_t *rows, int64_t i, int64_t m) {
  const int64_t row = selected(a, rows, i, m);
  return row >= 0 ? row_of<T>(a, row) : nullptr;
}

template <typename Products>
__global__ void __launch_bounds__(kBlockThreads)
    project_kernel(hf_matrix h, const int64_t *rows, hf_matrix u, hf_matrix c) {
  __shared__ typename Products::Memory memory;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * Products::kGroup; first < c.rows;
       first += static_cast<int64_t>(gridDim.x) * Products::kGroup) {
    const auto row_at = [&](int r) {
      return first_of<typename Products::Element>(h, rows, first + r, c.rows);
    };
    Products::dot(memory, row_at, u, [&](int r, int j, float sum) {
      if (row_at(r) != nullptr) set_element(c.dtype, c.data, (first + r) * c.stride + j, sum);
    });
  }
}

template <typename Products>
__global__ void __launch_bounds__(kBlockThreads) ablate_kernel(hf_matrix h, hf_matrix u) {
  __shared__ typename Products::Memory memory;
  __shared__ typename Products::Coefficients a;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * Products::kGroup; first < h.rows;
       first += static_cast<int64_t>(gridDim.x) * Products::kGroup) {
    const auto row_at = [&](int r) {
      return first_of<typename Products::Element>(h, nullptr, first + r, h.rows);
    };
    Products::dot(memory, row_at, u, [&](int r, int j, float sum) { a[r][j] = -sum; });
    Products::add(memory, row_at, u, a);
  }
}

struct ConstrainJob {
  hf_matrix g, h;
  const int64_t *rows;
  hf_matrix u, c;
  const float *filter, *weight;
  float *penalty;
};

__device__ inline float weight_of(const float *weights, int64_t i, int64_t m) {
  return weights != nullptr && i < m ? weights[i] : 0.0F;
}

// Whether any of some rows has a weight.
__device__ inline bool any(const float *weights, int64_t first, int rows, int64_t m) {
  bool found = false;
  for (int r = 0; r < rows; r++) found = found || weight_of(weights, first + r, m) != 0;
  return found;
}

// a[r] from drifts to what they add; the rows' penalties. A warp a row.
template <typename Products>
__device__ void weigh(const ConstrainJob &job, int64_t first, typename Products::Coefficients &a) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int r = static_cast<int>(threadIdx.x) / kWarp; r < Products::kGroup;
       r += kBlockThreads / kWarp) {
    const int64_t i = first + r;
    const bool there = selected(job.g, job.rows, i, job.c.rows) >= 0;
    const float weight = weight_of(job.weight, i, job.c.rows);
    float penalty = 0;
    for (int j = lane; j < job.u.columns; j += kWarp) {
      const float drift = a[r][j];
      penalty += drift * drift;
      a[r][j] = weight != 0 ? weight * drift : 0.0F;
    }
    penalty = warp_sum(penalty);
    if (lane == 0 && job.penalty != nullptr && there) job.penalty[i] = penalty;
  }
}

template <typename Products>
__global__ void __launch_bounds__(kBlockThreads) constrain_kernel(ConstrainJob job) {
  using T = typename Products::Element;
  __shared__ typename Products::Memory memory;
  __shared__ typename Products::Coefficients a;
  const int64_t m = job.c.rows;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * Products::kGroup; first < m;
       first += static_cast<int64_t>(gridDim.x) * Products::kGroup) {
    const auto g = [&](int r) { return first_of<T>(job.g, job.rows, first + r, m); };
    const auto h = [&](int r) { return first_of<T>(job.h, job.rows, first + r, m); };
    const bool filtered = any(job.filter, first, Products::kGroup, m);
    const bool weighted = any(job.weight, first, Products::kGroup, m);
    if (weighted || job.penalty != nullptr) {
      Products::dot(memory, h, job.u, [&](int r, int j, float sum) {
        a[r][j] = first + r < m ? sum - element(job.c, first + r, j) : 0.0F;
      });
      weigh<Products>(job, first, a);
    } else {
      const int columns = static_cast<int>(job.u.columns);
      for (int i = static_cast<int>(threadIdx.x); i < Products::kGroup * columns;
           i += kBlockThreads) {
        a[i / columns][i % columns] = 0;
      }
    }
    __syncthreads();
    if (filtered) {
      Products::dot(memory, g, job.u, [&](int r, int j, float sum) {
        const float filter = weight_of(job.filter, first + r, m);
        a[r][j] += filter != 0 ? -filter * sum : 0.0F;
      });
    }
    if (filtered || weighted) Products::add(memory, g, job.u, a);
    __syncthreads();
  }
}

template <typename Products>
struct Chosen {
  using Type = Products;
};

// Calls body with the products for rows of T.
template <typename T, typename Body>
int32_t with_products(int64_t k, bool wide, const Body &body) {
  constexpr int kNeighbours = kWide<T>;
  if (k > kBlockRank) return body(Chosen<HighRankProducts<T>>());
  if (!wide) return body(Chosen<RowProducts<T, 1, kFew>>());
  if (k <= kFew) return body(Chosen<RowProducts<T, kNeighbours, kFew>>());
  if constexpr (sizeof(T) == 2) {
    return body(Chosen<TileProducts<T>>());
  } else {
    return body(Chosen<RowProducts<T, kNeighbours, 2 * kFew>>());
  }
}

template <typename Body>
int32_t with_products(const hf_matrix &h, const hf_matrix &u, bool wide, const Body &body) {
  return with_type(h.dtype, [&](auto *type) {
    return with_products<std::remove_pointer_t<decltype(type)>>(u.columns, wide, body);
  });
}

template <typename Products>
int64_t groups(int64_t rows) {
  return (rows + Products::kGroup - 1) / Products::kGroup;
}

}  // namespace
}  // namespace holdfast

using namespace holdfast;

extern "C" {

int64_t hf_subspace_scratch(int64_t d, int64_t k) {
  return check_rank(d, k) == HF_OK ? 0 : -static_cast<int64_t>(HF_INVALID);
}

int32_t hf_project(const hf_matrix *h, const int64_t *rows, const hf_matrix *u, const hf_matrix *c,
                   void *scratch, void *stream) {
  if (int32_t status = check_project(h, rows, u, c, scratch)) return status;
  if (int32_t status = use_device_of(*h, "h")) return status;
  return with_products(*h, *u, is_wide(*h), [&](auto chosen) {
    using Products = typename decltype(chosen)::Type;
    return launch(project_kernel<Products>, groups<Products>(c->rows), kBlockThreads, stream, *h,
                  rows, *u, *c);
  });
}

int32_t hf_ablate(const hf_matrix *h, const hf_matrix *u, void *scratch, void *stream) {
  if (int32_t status = check_ablate(h, u, scratch)) return status;
  if (int32_t status = use_device_of(*h, "h")) return status;
  return with_products(*h, *u, is_wide(*h), [&](auto chosen) {
    using Products = typename decltype(chosen)::Type;
    return launch(ablate_kernel<Products>, groups<Products>(h->rows), kBlockThreads, stream, *h,
                  *u);
  });
}

int32_t hf_constrain(const hf_matrix *g, const hf_matrix *h, const int64_t *rows,
                     const hf_matrix *u, const hf_matrix *c, const float *filter,
                     const float *weight, float *penalty, void *scratch, void *stream) {
  if (int32_t status = check_constrain(g, h, rows, u, c, filter, weight, penalty, scratch)) {
    return status;
  }
  if (int32_t status = use_device_of(*g, "g")) return status;
  const ConstrainJob job = {*g, *h, rows, *u, *c, filter, weight, penalty};
  return with_products(*h, *u, is_wide(*g) && is_wide(*h), [&](auto chosen) {
    using Products = typename decltype(chosen)::Type;
    return launch(constrain_kernel<Products>, groups<Products>(c->rows), kBlockThreads, stream,
                  job);
  });
}
}
