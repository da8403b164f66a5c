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
  float logits;  // sum of z - largest_z, which smoothing needs
  float count;   // of logits
};

// Largest logits start finite, so that -inf first does not become NaN.
__device__ Sums nothing() { return {-FLT_MAX, -FLT_MAX, 0, 0, 0, 0, 0}; }

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
  if (s.count != 0) s.logits += s.count * up_z;
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
  s.logits += other.logits;
  s.count += other.count;
}

__device__ Sums shuffled(const Sums &s, int offset) {
  Sums other;
  other.largest_z = __shfl_xor_sync(0xffffffffU, s.largest_z, offset);
  other.largest_r = __shfl_xor_sync(0xffffffffU, s.largest_r, offset);
  other.total_z = __shfl_xor_sync(0xffffffffU, s.total_z, offset);
  other.total_r = __shfl_xor_sync(0xffffffffU, s.total_r, offset);
  other.spread = __shfl_xor_sync(0xffffffffU, s.spread, offset);
  other.logits = __shfl_xor_sync(0xffffffffU, s.logits, offset);
  other.count = __shfl_xor_sync(0xffffffffU, s.count, offset);
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
  const int64_t *rows;
  int64_t m;
  const int64_t *labels;
  const float *ce_weight, *kl_weight;
  float smoothing, cap;
  float *ce, *kl;
};

// W logits as the loss sees them.
template <typename T, int W>
__device__ Values<float, W> logits(const T *row, int64_t i, float cap) {
  const Values<T, W> raw = *reinterpret_cast<const Values<T, W> *>(row + i);
  Values<float, W> seen;
  for (int w = 0; w < W; w++) {
    const float x = to_float(raw.at[w]);
    seen.at[w] = cap != 0 ? cap * tanhf(x / cap) : x;
  }
  return seen;
}

template <int W>
__device__ float largest(const Values<float, W> &x) {
  float most = -FLT_MAX;
  for (int w = 0; w < W; w++) {
    most = x.at[w] > most ? x.at[w] : most;
  }
  return most;
}

template <typename T, int W, bool kReverse>
__device__ Sums first_sweep(const T *z, const T *r, int64_t n, float cap) {
  Sums s = nothing();
  for (int64_t i = static_cast<int64_t>(threadIdx.x) * W; i < n; i += kThreads * W) {
    const Values<float, W> zs = logits<T, W>(z, i, cap);
    Values<float, W> rs = {};
    if (r != nullptr) rs = logits<T, W>(r, i, cap);
    raise<kReverse>(s, largest(zs), r != nullptr ? largest(rs) : -FLT_MAX);
    for (int w = 0; w < W; w++) {
      const float ez = expf(zs.at[w] - s.largest_z);
      s.total_z += ez;
      s.logits += zs.at[w] - s.largest_z;
      if (r != nullptr) {
        const float er = expf(rs.at[w] - s.largest_r);
        const float ratio = (zs.at[w] - s.largest_z) - (rs.at[w] - s.largest_r);
        const float e = kReverse ? ez : er;
        s.total_r += er;
        s.spread += e == 0 ? 0.0F : e * (kReverse ? ratio : -ratio);
      }
    }
    s.count += W;
  }
  return block_sums<kReverse>(s);
}

// What the second sweep over a row needs.
struct RowGradient {
  float a, b;
  float on_label, everywhere;  // what the loss takes off the label's gradient, and off each
  float largest_z, largest_r, scale_z, scale_r;
  float offset;  // log p - log q - KL, less the ratio relative to the largest
  float cap;
};

template <bool kReverse>
__device__ float gradient_of(const RowGradient &g, float z, float r, bool is_label) {
  const float zi = z - g.largest_z;
  const float p = expf(zi) * g.scale_z;
  float gradient = g.a != 0 ? g.a * p - g.everywhere - (is_label ? g.on_label : 0.0F) : 0.0F;
  if (g.b != 0) {
    const float ri = r - g.largest_r;
    if (kReverse) {
      gradient += p == 0 ? 0.0F : g.b * (p * ((zi - ri) + g.offset));
    } else {
      gradient += g.b * (p - expf(ri) * g.scale_r);
    }
  }
  const float of_cap = g.cap != 0 ? z / g.cap : 0.0F;
  return gradient * (1 - of_cap * of_cap);
}

template <typename T, int W, bool kReverse>
__device__ void second_sweep(T *z, const T *r, int64_t n, int64_t label, const RowGradient &g) {
  for (int64_t i = static_cast<int64_t>(threadIdx.x) * W; i < n; i += kThreads * W) {
    Values<T, W> out;
    if (g.a == 0 && g.b == 0) {
      for (int w = 0; w < W; w++) out.at[w] = from_float<T>(0);
    } else {
      const Values<float, W> zs = logits<T, W>(z, i, g.cap);
      Values<float, W> rs = {};
      if (g.b != 0) rs = logits<T, W>(r, i, g.cap);
      for (int w = 0; w < W; w++) {
        out.at[w] = from_float<T>(gradient_of<kReverse>(g, zs.at[w], rs.at[w], i + w == label));
      }
    }
    *reinterpret_cast<Values<T, W> *>(z + i) = out;
  }
}

template <typename T, int W, bool kReverse>
__device__ void one_row(const CeKlJob &job, int64_t i, int64_t row) {
  T *z = row_of<T>(job.z, row);
  const T *r = job.r.data != nullptr ? row_of<T>(job.r, row) : nullptr;
  const int64_t n = job.z.columns;
  const int64_t label = job.labels[i];
  const bool lost = label >= n;  // a wrong label must not pass unseen
  const Sums s = first_sweep<T, W, kReverse>(z, r, n, job.cap);
  const float log_ratio = logf(s.total_z) - logf(s.total_r);
  float kl = 0;
  if (r != nullptr) {
    kl = kReverse ? s.spread / s.total_z - log_ratio : s.spread / s.total_r + log_ratio;
  }
  if (threadIdx.x == 0) {
    float ce = lost ? nanf("") : 0.0F;
    if (label >= 0 && !lost) {
      const float log_total = logf(s.total_z);
      const float at_label = logits<T, 1>(z, label, job.cap).at[0] - s.largest_z;
      ce = job.smoothing != 1 ? (1 - job.smoothing) * (log_total - at_label) : 0.0F;
      if (job.smoothing != 0) {
        ce += job.smoothing * (log_total - s.logits / static_cast<float>(n));
      }
    }
    job.ce[i] = ce;
    if (job.kl != nullptr) job.kl[i] = kl;
  }
  __syncthreads();  // the label's logit is read before it is overwritten
  RowGradient g;
  g.a = lost ? nanf("") : (label >= 0 ? job.ce_weight[i] : 0.0F);
  g.b = job.kl_weight != nullptr ? job.kl_weight[i] : 0.0F;
  g.on_label = g.a * (1 - job.smoothing);
  g.everywhere = g.a * job.smoothing / static_cast<float>(n);
  g.largest_z = s.largest_z;
  g.largest_r = s.largest_r;
  g.scale_z = 1 / s.total_z;
  g.scale_r = 1 / s.total_r;
  g.offset = -log_ratio - kl;
  g.cap = job.cap;
  second_sweep<T, W, kReverse>(z, r, n, label, g);
  __syncthreads();
}

template <typename T, int W, bool kReverse>
__global__ void __launch_bounds__(kThreads) ce_kl_kernel(CeKlJob job) {
  for (int64_t i = blockIdx.x; i < job.m; i += gridDim.x) {
    const int64_t row = job.rows != nullptr ? job.rows[i] : i;
    if (row >= 0 && row < job.z.rows) one_row<T, W, kReverse>(job, i, row);
  }
}

template <typename T, int W>
int32_t run(const CeKlJob &job, bool reverse, void *stream) {
  return reverse ? launch(ce_kl_kernel<T, W, true>, job.m, kThreads, stream, job)
                 : launch(ce_kl_kernel<T, W, false>, job.m, kThreads, stream, job);
}

}  // namespace
}  // namespace holdfast

using namespace holdfast;

extern "C" {

int64_t hf_ce_kl_scratch(int64_t rows, int64_t vocabulary) {
  int64_t elements = 0;
  int64_t bytes = 0;
  const bool good = rows >= 0 && vocabulary >= 0 && product_fits(rows, vocabulary, &elements) &&
                    product_fits(elements, 8, &bytes);
  return good ? 0
              : -fail(HF_INVALID, "z: %lld x %lld are no rows of logits",
                      static_cast<long long>(rows), static_cast<long long>(vocabulary));
}

int32_t hf_ce_kl(const hf_matrix *z, const hf_matrix *r, const int64_t *rows, int64_t m,
                 const int64_t *labels, const float *ce_weight, const float *kl_weight,
                 const hf_row_loss *loss, float *ce, float *kl, void *scratch, void *stream) {
  if (int32_t status =
          check_ce_kl(z, r, rows, m, labels, ce_weight, kl_weight, loss, ce, kl, scratch)) {
    return status;
  }
  if (int32_t status = use_device_of(*z, "z")) return status;
  const CeKlJob job = {*z,
                       r != nullptr ? *r : hf_matrix{},
                       rows,
                       m,
                       labels,
                       ce_weight,
                       kl_weight,
                       static_cast<float>(loss->label_smoothing),
                       static_cast<float>(loss->soft_cap),
                       ce,
                       kl};
  const bool reverse = loss->direction == HF_KL_REVERSE;
  const bool wide = is_wide(*z) && (r == nullptr || is_wide(*r));
  return with_type(z->dtype, [&](auto *type) {
    using T = std::remove_pointer_t<decltype(type)>;
    return wide ? run<T, kWide<T>>(job, reverse, stream) : run<T, 1>(job, reverse, stream);
  });
}
}
