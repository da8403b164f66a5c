// Cross entropy and KL over rows of logits on the GPU: one block a row, an online softmax of both
// rows in the first sweep, the gradient in the second.
#include <cfloat>

#include "device.cuh"

namespace holdfast {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / kWarp;

// Sums over part of a row of logits z and of its reference r, relative to the largest logits there.
struct Sums {
  float largest_z;
  float largest_r;
  float total_z;  // sum of e^(z - largest_z)
  float total_r;
  // Sum of e^(x - largest) times the log-ratio of x's row to the other, both relative to their
  // largest; x is the row that the divergence's expectation is taken over.
  float spread;
};

// Largest logits start finite, so that -inf first does not become NaN.
__device__ Sums nothing() { return {-FLT_MAX, -FLT_MAX, 0, 0, 0}; }

// Moves the largest logits up to (z, r); what was summed so far is scaled along.
template <bool kReverse>
__device__ void raise(Sums &s, float z, float r) {
  const float up_z = z > s.largest_z ? s.largest_z - z : 0.0F;
  const float up_r = r > s.largest_r ? s.largest_r - r : 0.0F;
  if (up_z == 0 && up_r == 0) return;
  const float over = kReverse ? s.total_z : s.total_r;
  const float scale = expf(kReverse ? up_z : up_r);
  const float moved = kReverse ? up_z - up_r : up_r - up_z;
  if (over != 0) s.spread = scale == 0 ? 0.0F : scale * (s.spread + over * moved);
  s.total_z *= expf(up_z);
  s.total_r *= expf(up_r);
  s.largest_z = z > s.largest_z ? z : s.largest_z;
  s.largest_r = r > s.largest_r ? r : s.largest_r;
}

template <bool kReverse>
__device__ void merge(Sums &s, Sums other) {
  raise<kReverse>(s, other.largest_z, other.largest_r);
  raise<kReverse>(other, s.largest_z, s.largest_r);
  s.total_z += other.total_z;
  s.total_r += other.total_r;
  s.spread += other.spread;
}

__device__ Sums shuffled(const Sums &s, int offset) {
  Sums other;
  other.largest_z = __shfl_xor_sync(0xffffffffU, s.largest_z, offset);
  other.largest_r = __shfl_xor_sync(0xffffffffU, s.largest_r, offset);
  other.total_z = __shfl_xor_sync(0xffffffffU, s.total_z, offset);
  other.total_r = __shfl_xor_sync(0xffffffffU, s.total_r, offset);
  other.spread = __shfl_xor_sync(0xffffffffU, s.spread, offset);
  return other;
}

// The sums of all threads, to all threads: the same bits to each, as the first lane of each warp
// merges its own and then all threads merge the warps in one order.
template <bool kReverse>
__device__ Sums block_sums(Sums s) {
  __shared__ Sums parts[kWarps];
  for (int offset = 1; offset < kWarp; offset *= 2) {
    merge<kReverse>(s, shuffled(s, offset));
  }
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = s;
  __syncthreads();
  Sums all = parts[0];
  for (int w = 1; w < kWarps; w++) {
    merge<kReverse>(all, parts[w]);
  }
  __syncthreads();
  return all;
}

struct CeKlJob {
  hf_matrix z;
  hf_matrix r;  // null data without a reference
  const int64_t *labels;
  const float *ce_weight, *kl_weight;
  float *ce, *kl;
};

template <bool kReverse>
__device__ Sums first_sweep(const float *z, const float *r, int64_t n) {
  Sums s = nothing();
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    const float zi = z[i];
    const float ri = r != nullptr ? r[i] : -FLT_MAX;
    raise<kReverse>(s, zi, ri);
    const float ez = expf(zi - s.largest_z);
    s.total_z += ez;
    if (r != nullptr) {
      const float er = expf(ri - s.largest_r);
      const float ratio = (zi - s.largest_z) - (ri - s.largest_r);
      const float e = kReverse ? ez : er;
      s.total_r += er;
      s.spread += e == 0 ? 0.0F : e * (kReverse ? ratio : -ratio);
    }
  }
  return block_sums<kReverse>(s);
}

template <bool kReverse>
__device__ void one_row(const CeKlJob &job, int64_t row) {
  float *z = row_of(job.z, row);
  const float *r = job.r.data != nullptr ? row_of(job.r, row) : nullptr;
  const int64_t n = job.z.columns;
  const int64_t label = job.labels[row];
  const bool lost = label >= n;  // a wrong label must not pass unseen
  const float a = lost ? nanf("") : (label >= 0 ? job.ce_weight[row] : 0.0F);
  const float b = job.kl_weight != nullptr ? job.kl_weight[row] : 0.0F;
  const Sums s = first_sweep<kReverse>(z, r, n);
  const float log_ratio = logf(s.total_z) - logf(s.total_r);
  float kl = 0;
  if (r != nullptr) {
    kl = kReverse ? s.spread / s.total_z - log_ratio : s.spread / s.total_r + log_ratio;
  }
  if (threadIdx.x == 0) {
    job.ce[row] = lost ? a : (label >= 0 ? logf(s.total_z) - (z[label] - s.largest_z) : 0.0F);
    if (job.kl != nullptr) job.kl[row] = kl;
  }
  __syncthreads();  // z[label] is read before it is overwritten
  const float scale_z = 1 / s.total_z;
  const float scale_r = 1 / s.total_r;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    float gradient = 0;
    if (a != 0 || b != 0) {
      const float zi = z[i] - s.largest_z;
      const float p = expf(zi) * scale_z;
      gradient = a * p - (i == label ? a : 0.0F);
      if (b != 0) {
        const float ri = r[i] - s.largest_r;
        if (kReverse) {
          gradient += p == 0 ? 0.0F : b * (p * ((zi - ri) - log_ratio - kl));
        } else {
          gradient += b * (p - expf(ri) * scale_r);
        }
      }
    }
    z[i] = gradient;
  }
  __syncthreads();
}

template <bool kReverse>
__global__ void __launch_bounds__(kThreads) ce_kl_kernel(CeKlJob job) {
  for (int64_t row = blockIdx.x; row < job.z.rows; row += gridDim.x) {
    one_row<kReverse>(job, row);
  }
}

}  // namespace
}  // namespace holdfast

using namespace holdfast;

extern "C" int32_t hf_ce_kl(const hf_matrix *z, const hf_matrix *r, const int64_t *labels,
                            const float *ce_weight, const float *kl_weight, int32_t direction,
                            float *ce, float *kl, void *stream) {
  if (int32_t status = check_ce_kl(z, r, labels, ce_weight, kl_weight, direction, ce, kl)) {
    return status;
  }
  if (int32_t status = check_on_device(*z, "z")) return status;
  const CeKlJob job = {*z, r != nullptr ? *r : hf_matrix{}, labels, ce_weight, kl_weight, ce, kl};
  return direction == HF_KL_REVERSE ? launch(ce_kl_kernel<true>, z->rows, kThreads, stream, job)
                                    : launch(ce_kl_kernel<false>, z->rows, kThreads, stream, job);
}
