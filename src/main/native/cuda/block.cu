// The pieces of a decoder's block on the GPU: a norm takes one block a row, its gradient one block
// a part of the rows; rotations and gated activations go element by element.
#include "block_arguments.hpp"
#include "device.cuh"

namespace holdfast {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;

// Parts that the rows of a norm are cut into, each with a gradient of w of its own.
constexpr int64_t kParts = 512;

int64_t parts_of(int64_t n) { return std::min(n, kParts); }

// The sum over all threads, to all threads: warps in one order.
__device__ float block_sum(float value) {
  __shared__ float parts[kWarps];
  value = warp_sum(value);
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = value;
  __syncthreads();
  float sum = 0;
  for (int w = 0; w < kWarps; w++) sum += parts[w];
  __syncthreads();
  return sum;
}

// What is left of a value in a narrower type.
template <typename T>
__device__ float rounded(float x) {
  return to_float(from_float<T>(x));
}

struct NormJob {
  hf_matrix x, w, y, dx;  // y is the gradient on the way back
  float eps;
  bool one_plus;
  float *inverse;
  float *partials;
};

template <typename T, int W>
__global__ void __launch_bounds__(kThreads) rms_norm_kernel(NormJob job) {
  const int64_t d = job.x.columns;
  for (int64_t i = blockIdx.x; i < job.x.rows; i += gridDim.x) {
    const T *x = row_of<T>(job.x, i);
    T *y = row_of<T>(job.y, i);
    float square = 0;
    for (int64_t j = static_cast<int64_t>(threadIdx.x) * W; j < d; j += kThreads * W) {
      const Values<T, W> raw = *reinterpret_cast<const Values<T, W> *>(x + j);
      for (int w = 0; w < W; w++) square += to_float(raw.at[w]) * to_float(raw.at[w]);
    }
    const float r = 1 / sqrtf(block_sum(square) / static_cast<float>(d) + job.eps);
    if (job.inverse != nullptr && threadIdx.x == 0) job.inverse[i] = r;
    for (int64_t j = static_cast<int64_t>(threadIdx.x) * W; j < d; j += kThreads * W) {
      Values<T, W> values = *reinterpret_cast<const Values<T, W> *>(x + j);
      for (int w = 0; w < W; w++) {
        const float hat = to_float(values.at[w]) * r;
        const float gain = element(job.w, 0, j + w);
        values.at[w] = from_float<T>(job.one_plus ? hat * (1 + gain) : rounded<T>(hat) * gain);
      }
      *reinterpret_cast<Values<T, W> *>(y + j) = values;
    }
  }
}

// A thread takes the same columns of all rows of its part, so that their sums are its own.
template <typename T>
__global__ void __launch_bounds__(kThreads) rms_norm_backward_kernel(NormJob job, int64_t parts) {
  const int64_t n = job.x.rows;
  const int64_t d = job.x.columns;
  const float plus = job.one_plus ? 1.0F : 0.0F;
  for (int64_t part = blockIdx.x; part < parts; part += gridDim.x) {
    float *sums = job.partials != nullptr ? job.partials + part * d : nullptr;
    for (int64_t j = threadIdx.x; sums != nullptr && j < d; j += kThreads) sums[j] = 0;
    for (int64_t i = part * n / parts; i < (part + 1) * n / parts; i++) {
      const T *x = row_of<T>(job.x, i);
      const T *g = row_of<T>(job.y, i);
      T *dx = row_of<T>(job.dx, i);
      const float r = job.inverse[i];
      float dot = 0;
      for (int64_t j = threadIdx.x; j < d; j += kThreads) {
        dot += to_float(x[j]) * (to_float(g[j]) * (element(job.w, 0, j) + plus));
      }
      const float along = block_sum(dot) * r * r / static_cast<float>(d);
      for (int64_t j = threadIdx.x; j < d; j += kThreads) {
        const float value = to_float(x[j]);
        const float gradient = to_float(g[j]);
        if (sums != nullptr) sums[j] += gradient * (value * r);
        dx[j] = from_float<T>(r * (gradient * (element(job.w, 0, j) + plus) - value * along));
      }
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    gain_kernel(const float *partials, int64_t parts, int64_t d, float *dw) {
  for (int64_t block = blockIdx.x; block * kThreads < d; block += gridDim.x) {
    const int64_t j = block * kThreads + static_cast<int64_t>(threadIdx.x);
    if (j >= d) continue;
    float sum = 0;
    for (int64_t part = 0; part < parts; part++) sum += partials[part * d + j];
    dw[j] = sum;
  }
}

struct RotateJob {
  hf_matrix x, c, s;
  int64_t head;
  bool backward;
};

// A thread takes a pair of values that turn into each other.
template <typename T>
__global__ void __launch_bounds__(kThreads) rotate_kernel(RotateJob job) {
  const int64_t half = job.c.columns / 2;
  const int64_t pairs = job.x.columns / job.head * half;
  for (int64_t i = blockIdx.x; i < job.x.rows; i += gridDim.x) {
    T *x = row_of<T>(job.x, i);
    const int64_t t = i % job.c.rows;
    for (int64_t pair = threadIdx.x; pair < pairs; pair += kThreads) {
      const int64_t j = pair % half;
      T *one = x + pair / half * job.head + j;
      T *two = one + half;
      const float a = to_float(*one);
      const float b = to_float(*two);
      const float s_one = element(job.s, t, job.backward ? half + j : j);
      const float s_two = element(job.s, t, job.backward ? j : half + j);
      *one = from_float<T>(rounded<T>(a * element(job.c, t, j)) + rounded<T>(b * s_one));
      *two = from_float<T>(rounded<T>(b * element(job.c, t, half + j)) + rounded<T>(a * s_two));
    }
  }
}

struct Activated {
  float value, slope;
};

__device__ Activated activated(int32_t activation, float x) {
  if (activation == HF_SILU) {
    const float sigmoid = 1 / (1 + expf(-x));
    return {x * sigmoid, sigmoid * (1 + x * (1 - sigmoid))};
  }
  constexpr float kBeta = 0.7978845608F;
  constexpr float kKappa = 0.044715F;
  const float t = tanhf(kBeta * (x + kKappa * (x * x * x)));
  const float bend = kBeta * (1 + 3 * kKappa * x * x);
  return {0.5F * x * (1 + t), 0.5F * (1 + t) + 0.5F * x * ((1 - t * t) * bend)};
}

struct GateJob {
  hf_matrix a, b, y, da, db;  // y is the gradient on the way back
  int32_t activation;
};

template <typename T, int W, bool kBackward>
__global__ void __launch_bounds__(kThreads) gate_kernel(GateJob job) {
  const int64_t across = (job.a.columns + W - 1) / W;
  const int64_t all = job.a.rows * across;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < all; i += step) {
    const int64_t row = i / across;
    const int64_t j = i % across * W;
    using Some = Values<T, W>;
    Some a = *reinterpret_cast<const Some *>(row_of<T>(job.a, row) + j);
    Some b = *reinterpret_cast<const Some *>(row_of<T>(job.b, row) + j);
    Some y;
    if (kBackward) y = *reinterpret_cast<const Some *>(row_of<T>(job.y, row) + j);
    for (int w = 0; w < W; w++) {
      const Activated act = activated(job.activation, to_float(a.at[w]));
      if (kBackward) {
        const float g = to_float(y.at[w]);
        a.at[w] = from_float<T>(g * to_float(b.at[w]) * act.slope);
        b.at[w] = from_float<T>(g * act.value);
      } else {
        y.at[w] = from_float<T>(rounded<T>(act.value) * to_float(b.at[w]));
      }
    }
    if (kBackward) {
      *reinterpret_cast<Some *>(row_of<T>(job.da, row) + j) = a;
      *reinterpret_cast<Some *>(row_of<T>(job.db, row) + j) = b;
    } else {
      *reinterpret_cast<Some *>(row_of<T>(job.y, row) + j) = y;
    }
  }
}

template <bool kBackward>
int32_t run_gate(const GateJob &job, bool wide, void *stream) {
  return with_type(job.a.dtype, [&](auto *type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const int64_t elements = job.a.rows * job.a.columns;
    if (wide) {
      return launch(gate_kernel<T, kWide<T>, kBackward>,
                    (elements / kWide<T> + kThreads - 1) / kThreads, kThreads, stream, job);
    }
    return launch(gate_kernel<T, 1, kBackward>, (elements + kThreads - 1) / kThreads, kThreads,
                  stream, job);
  });
}

}  // namespace
}  // namespace holdfast

using namespace holdfast;

extern "C" {

int32_t hf_rms_norm(const hf_matrix *x, const hf_matrix *w, double eps, int32_t one_plus,
                    const hf_matrix *y, float *inverse, void *stream) {
  if (int32_t status = check_rms_norm(x, w, eps, one_plus, y, inverse)) return status;
  if (int32_t status = use_device_of(*x, "x")) return status;
  const NormJob job = {*x,      *w,     *y, hf_matrix{}, static_cast<float>(eps), one_plus != 0,
                       inverse, nullptr};
  return with_type(x->dtype, [&](auto *type) {
    using T = std::remove_pointer_t<decltype(type)>;
    return is_wide(*x) && is_wide(*y)
               ? launch(rms_norm_kernel<T, kWide<T>>, x->rows, kThreads, stream, job)
               : launch(rms_norm_kernel<T, 1>, x->rows, kThreads, stream, job);
  });
}

int64_t hf_rms_norm_scratch(int64_t n, int64_t d) {
  return partial_bytes(n, d, n < 0 ? 0 : parts_of(n));
}

int32_t hf_rms_norm_backward(const hf_matrix *x, const hf_matrix *w, int32_t one_plus,
                             const float *inverse, const hf_matrix *g, const hf_matrix *dx,
                             float *dw, void *scratch, void *stream) {
  if (int32_t status = check_rms_norm_backward(x, w, one_plus, inverse, g, dx, dw, scratch)) {
    return status;
  }
  if (int32_t status = use_device_of(*x, "x")) return status;
  auto *partials = dw != nullptr ? static_cast<float *>(scratch) : nullptr;
  const NormJob job = {*x, *w, *g, *dx, 0, one_plus != 0, const_cast<float *>(inverse), partials};
  const int64_t parts = parts_of(x->rows);
  const int32_t status = with_type(x->dtype, [&](auto *type) {
    using T = std::remove_pointer_t<decltype(type)>;
    return launch(rms_norm_backward_kernel<T>, parts, kThreads, stream, job, parts);
  });
  if (status != HF_OK || dw == nullptr) return status;
  return launch(gain_kernel, (x->columns + kThreads - 1) / kThreads, kThreads, stream,
                static_cast<const float *>(partials), parts, x->columns, dw);
}

int32_t hf_rotate(const hf_matrix *x, int64_t head, const hf_matrix *c, const hf_matrix *s,
                  int32_t backward, void *stream) {
  if (int32_t status = check_rotate(x, head, c, s, backward)) return status;
  if (int32_t status = use_device_of(*x, "x")) return status;
  const RotateJob job = {*x, *c, *s, head, backward != 0};
  return with_type(x->dtype, [&](auto *type) {
    using T = std::remove_pointer_t<decltype(type)>;
    return launch(rotate_kernel<T>, x->rows, kThreads, stream, job);
  });
}

int32_t hf_gate(const hf_matrix *a, const hf_matrix *b, int32_t activation, const hf_matrix *y,
                void *stream) {
  if (int32_t status = check_gate(a, b, activation, y)) return status;
  if (int32_t status = use_device_of(*a, "a")) return status;
  const GateJob job = {*a, *b, *y, hf_matrix{}, hf_matrix{}, activation};
  return run_gate<false>(job, is_wide(*a) && is_wide(*b) && is_wide(*y), stream);
}

int32_t hf_gate_backward(const hf_matrix *a, const hf_matrix *b, int32_t activation,
                         const hf_matrix *g, const hf_matrix *da, const hf_matrix *db,
                         void *stream) {
  if (int32_t status = check_gate_backward(a, b, activation, g, da, db)) return status;
  if (int32_t status = use_device_of(*a, "a")) return status;
  const GateJob job = {*a, *b, *g, *da, *db, activation};
  const bool wide = is_wide(*a) && is_wide(*b) && is_wide(*g) && is_wide(*da) && is_wide(*db);
  return run_gate<true>(job, wide, stream);
}
}
