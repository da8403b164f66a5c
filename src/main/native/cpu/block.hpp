// The pieces of a decoder's block: norms, rotations and gated activations of rows, in registers
// from one dtype to the other.
#pragma once

#include <math.h>

#include "convert.hpp"
#include "kernels.hpp"
#include "simd.hpp"

namespace {

using holdfast::GateJob;
using holdfast::NormJob;
using holdfast::RotateJob;

template <typename T>
inline typename T::Raw *values(const hf_matrix &a, int64_t row, int64_t column = 0) {
  return reinterpret_cast<typename T::Raw *>(at(a, row, column));
}

// Calls f with the structs of two dtypes.
template <typename F>
inline void in_dtypes(int32_t one, int32_t two, const F &f) {
  in_dtype(one, [&](auto first) { in_dtype(two, [&](auto second) { f(first, second); }); });
}

// Sums f(i, count) over the vectors of n values; several sums, since one would wait for itself.
template <typename F>
HF_INLINE float sum_vectors(int64_t n, const F &f) {
  constexpr int64_t kSums = 4;
  Vec sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums * kLanes <= n; i += kSums * kLanes) {
    for (int64_t s = 0; s < kSums; ++s) {
      sums[s] += f(i + s * kLanes, kLanes);
    }
  }
  for (; i < n; i += kLanes) {
    sums[0] += f(i, n - i);
  }
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// ---- Norm

void rms_norm(const NormJob &job, int64_t first, int64_t last) {
  const int64_t d = job.x->columns;
  const Vec plus = splat(job.one_plus ? 1.0F : 0.0F);
  in_dtypes(job.x->dtype, job.w->dtype, [&](auto dtype, auto weights) {
    using T = decltype(dtype);
    using W = decltype(weights);
    const auto *w = values<W>(*job.w, 0);
    for (int64_t row = first; row < last; ++row) {
      const auto *x = values<T>(*job.x, row);
      auto *y = values<T>(*job.y, row);
      const float square = sum_vectors(d, [&](int64_t i, int64_t count) HF_INLINED {
        const Vec v = load_some<T>(x + i, count, 0.0F);
        return v * v;
      });
      const float inverse = 1 / sqrtf(square / static_cast<float>(d) + job.eps);
      if (job.inverse != nullptr) job.inverse[row] = inverse;
      const Vec r = splat(inverse);
      in_vectors(d, [&](int64_t i, int64_t count) HF_INLINED {
        const Vec scaled = load_some<T>(x + i, count, 0.0F) * r;
        const Vec by = load_some<W>(w + i, count, 0.0F) + plus;
        store_some<T>(y + i, count, (job.one_plus ? scaled : T::rounded(scaled)) * by);
      });
    }
  });
}

void rms_norm_backward(const NormJob &job, int64_t first, int64_t last, float *dw) {
  const int64_t d = job.x->columns;
  const Vec plus = splat(job.one_plus ? 1.0F : 0.0F);
  if (dw != nullptr) {
    std::memset(dw, 0, static_cast<size_t>(d) * sizeof(float));
  }
  in_dtypes(job.x->dtype, job.w->dtype, [&](auto dtype, auto weights) {
    using T = decltype(dtype);
    using W = decltype(weights);
    const auto *w = values<W>(*job.w, 0);
    for (int64_t row = first; row < last; ++row) {
      const auto *x = values<T>(*job.x, row);
      const auto *g = values<T>(*job.y, row);
      auto *dx = values<T>(*job.dx, row);
      const float dot = sum_vectors(d, [&](int64_t i, int64_t count) HF_INLINED {
        const Vec v = load_some<W>(w + i, count, 0.0F) + plus;
        return load_some<T>(x + i, count, 0.0F) * (load_some<T>(g + i, count, 0.0F) * v);
      });
      const float inverse = job.inverse[row];
      const Vec r = splat(inverse);
      const Vec along = splat(dot * inverse * inverse / static_cast<float>(d));
      in_vectors(d, [&](int64_t i, int64_t count) HF_INLINED {
        const Vec xs = load_some<T>(x + i, count, 0.0F);
        const Vec gs = load_some<T>(g + i, count, 0.0F);
        const Vec v = load_some<W>(w + i, count, 0.0F) + plus;
        if (dw != nullptr) {
          const Vec so_far = load_some<Float32>(dw + i, count, 0.0F);
          store_some<Float32>(dw + i, count, so_far + gs * (xs * r));
        }
        store_some<T>(dx + i, count, r * (gs * v - xs * along));
      });
    }
  });
}

// ---- Rotation

// n values of each half of a head. Forward they meet the sines of their own place, backward those
// of the place that they went to.
template <typename T, typename C>
HF_INLINE void turn(typename T::Raw *one, typename T::Raw *two, const typename C::Raw *c_one,
                    const typename C::Raw *c_two, const typename C::Raw *s_one,
                    const typename C::Raw *s_two, int64_t n) {
  in_vectors(n, [&](int64_t i, int64_t count) HF_INLINED {
    const auto table = [&](const typename C::Raw *from)
                           HF_INLINED { return load_some<C>(from + i, count, 0.0F); };
    const Vec a = load_some<T>(one + i, count, 0.0F);
    const Vec b = load_some<T>(two + i, count, 0.0F);
    store_some<T>(one + i, count, T::rounded(a * table(c_one)) + T::rounded(b * table(s_one)));
    store_some<T>(two + i, count, T::rounded(b * table(c_two)) + T::rounded(a * table(s_two)));
  });
}

void rotate(const RotateJob &job, int64_t first, int64_t last) {
  const int64_t half = job.c->columns / 2;
  in_dtypes(job.x->dtype, job.c->dtype, [&](auto dtype, auto tables) {
    using T = decltype(dtype);
    using C = decltype(tables);
    for (int64_t row = first; row < last; ++row) {
      const int64_t t = row % job.c->rows;
      const auto *c = values<C>(*job.c, t);
      const auto *s = values<C>(*job.s, t);
      const auto *s_one = job.backward ? s + half : s;
      const auto *s_two = job.backward ? s : s + half;
      for (int64_t head = 0; head < job.x->columns; head += job.head) {
        auto *x = values<T>(*job.x, row, head);
        turn<T, C>(x, x + half, c, c + half, s_one, s_two, half);
      }
    }
  });
}

// ---- Gated activation

struct Activated {
  Vec value;
  Vec slope;
};

HF_INLINE Activated silu(Vec x) {
  const Vec one = splat(1.0F);
  const Vec e = exp_nonpositive(x < Vec{} ? x : -x);  // never overflows
  const Vec sigmoid = (x < Vec{} ? e : one) / (one + e);
  return {x * sigmoid, sigmoid * (one + x * (one - sigmoid))};
}

HF_INLINE Activated gelu_tanh(Vec x) {
  const Vec one = splat(1.0F);
  const Vec beta = splat(0.7978845608F);
  const Vec kappa = splat(0.044715F);
  const Vec square = x * x;
  const Vec t = tanh(beta * (x + kappa * (square * x)));
  const Vec bend = beta * (one + splat(3.0F) * kappa * square);
  const Vec half = splat(0.5F);
  return {half * x * (one + t), half * (one + t) + half * x * ((one - t * t) * bend)};
}

HF_INLINE Activated activated(int32_t activation, Vec x) {
  return activation == HF_SILU ? silu(x) : gelu_tanh(x);
}

void gate(const GateJob &job, int64_t first, int64_t last) {
  in_dtype(job.a->dtype, [&](auto dtype) {
    using T = decltype(dtype);
    for (int64_t row = first; row < last; ++row) {
      const auto *a = values<T>(*job.a, row);
      const auto *b = values<T>(*job.b, row);
      auto *y = values<T>(*job.y, row);
      in_vectors(job.a->columns, [&](int64_t i, int64_t count) HF_INLINED {
        const Vec value = activated(job.activation, load_some<T>(a + i, count, 0.0F)).value;
        store_some<T>(y + i, count, T::rounded(value) * load_some<T>(b + i, count, 0.0F));
      });
    }
  });
}

void gate_backward(const GateJob &job, int64_t first, int64_t last) {
  in_dtype(job.a->dtype, [&](auto dtype) {
    using T = decltype(dtype);
    for (int64_t row = first; row < last; ++row) {
      const auto *a = values<T>(*job.a, row);
      const auto *b = values<T>(*job.b, row);
      const auto *g = values<T>(*job.y, row);
      auto *da = values<T>(*job.da, row);
      auto *db = values<T>(*job.db, row);
      in_vectors(job.a->columns, [&](int64_t i, int64_t count) HF_INLINED {
        const Activated act = activated(job.activation, load_some<T>(a + i, count, 0.0F));
        const Vec by = load_some<T>(b + i, count, 0.0F);
        const Vec gradient = load_some<T>(g + i, count, 0.0F);
        store_some<T>(da + i, count, gradient * by * act.slope);
        store_some<T>(db + i, count, gradient * act.value);
      });
    }
  });
}

}  // namespace
