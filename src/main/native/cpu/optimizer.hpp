// AdamW and the gradient norm: elementwise, left to the compiler's vectoriser.
#pragma once

#include <math.h>

#include "convert.hpp"
#include "kernels.hpp"

namespace {

using holdfast::AdamwJob;
using holdfast::AdamwScalars;

// Columns at a time, as floats in the first-level cache.
constexpr int64_t kSpan = 1024;

// components[j][c] += sum over R rows of basis[i][j] gradient[i][c]
template <int R>
inline void add_components(const float *basis, const float *g, int64_t k, int64_t n, float *sums,
                           int64_t stride) {
  for (int64_t j = 0; j < k; ++j) {
    float *out = sums + j * stride;
#pragma omp simd
    for (int64_t c = 0; c < n; ++c) {
      float value = out[c];
      for (int64_t r = 0; r < R; ++r) {
        value += basis[r * HF_MAX_RANK + j] * g[r * kSpan + c];
      }
      out[c] = value;
    }
  }
}

void adamw_components(const AdamwJob &job, int64_t first, int64_t last) {
  constexpr int kRows = 4;
  const hf_adamw_tensor &t = *job.tensor;
  const int64_t k = t.basis.columns;
  const int64_t columns = t.parameter.columns;
  const int64_t n = last - first;
  for (int64_t j = 0; j < k; ++j) {
    std::memset(job.components + j * columns + first, 0, static_cast<size_t>(n) * sizeof(float));
  }
  for (int64_t i = 0; i < t.parameter.rows; i += kRows) {
    const int64_t rows = t.parameter.rows - i < kRows ? t.parameter.rows - i : kRows;
    float g[kRows * kSpan];
    float basis[kRows * HF_MAX_RANK];
    for (int64_t r = 0; r < rows; ++r) {
      widen(t.gradient.dtype, at(t.gradient, i + r, first), n, g + r * kSpan);
      widen(t.basis.dtype, at(t.basis, i + r, 0), k, basis + r * HF_MAX_RANK);
    }
    float *sums = job.components + first;
    if (rows == kRows) {
      add_components<kRows>(basis, g, k, n, sums, columns);
    } else {
      for (int64_t r = 0; r < rows; ++r) {
        add_components<1>(basis + r * HF_MAX_RANK, g + r * kSpan, k, n, sums, columns);
      }
    }
  }
}

// One element, in the order of PyTorch's fused kernel. (sqrtf, not std::sqrt: an inline function of
// the standard library compiled here could end up in code for lesser machines.)
inline void adamw_element(const AdamwScalars &s, float keep, float g, float anchor, float &p,
                          float &m, float &v) {
  m += s.take1 * (g - m);
  v = s.keep2 * v + s.take2 * (g * g);
  p = p * keep - anchor - s.step_size * (m / (sqrtf(v) * s.root + s.eps));
}

// The gradient scaled, without its part in the basis, with a coupled pull, and what a decoupled
// pull subtracts.
void prepare(const AdamwJob &job, int64_t row, int64_t begin, int64_t n, const float *g,
             const float *p, float *ready, float *anchor) {
  const hf_adamw_tensor &t = *job.tensor;
  float basis[HF_MAX_RANK];
  float buffer[kSpan];
#pragma omp simd
  for (int64_t c = 0; c < n; ++c) {
    ready[c] = job.s->gradient_scale * g[c];
    anchor[c] = 0;
  }
  if (t.basis.data != nullptr) {
    widen(t.basis.dtype, at(t.basis, row, 0), t.basis.columns, basis);
    for (int64_t j = 0; j < t.basis.columns; ++j) {
      const float b = job.s->gradient_scale * basis[j];
      const float *component = job.components + j * t.parameter.columns + begin;
#pragma omp simd
      for (int64_t c = 0; c < n; ++c) {
        ready[c] -= b * component[c];
      }
    }
  }
  if (t.pull == 0) {
    return;
  }
  const float *reference = as_floats(t.reference.dtype, at(t.reference, row, begin), n, buffer);
  float *into = t.coupled != 0 ? ready : anchor;
  const float strength = t.coupled != 0 ? static_cast<float>(t.pull) : job.pull;
#pragma omp simd
  for (int64_t c = 0; c < n; ++c) {
    into[c] += strength * (p[c] - reference[c]);
  }
}

void adamw_row(const AdamwJob &job, int64_t row, int64_t first, int64_t last) {
  const hf_adamw_tensor &t = *job.tensor;
  const AdamwScalars &s = *job.s;
  const hf_matrix &weights = t.master.data != nullptr ? t.master : t.parameter;
  float g_buffer[kSpan];
  float p_buffer[kSpan];
  float ready[kSpan];
  float anchor[kSpan];
  for (int64_t begin = first; begin < last; begin += kSpan) {
    const int64_t n = last - begin < kSpan ? last - begin : kSpan;
    char *written = at(t.parameter, row, begin);
    char *updated = at(weights, row, begin);
    const bool direct = weights.dtype == HF_FLOAT32;
    if (!direct) widen(weights.dtype, updated, n, p_buffer);
    float *__restrict p = direct ? reinterpret_cast<float *>(updated) : p_buffer;
    float *__restrict m = reinterpret_cast<float *>(at(t.first_moment, row, begin));
    float *__restrict v = reinterpret_cast<float *>(at(t.second_moment, row, begin));
    const float *__restrict g =
        as_floats(t.gradient.dtype, at(t.gradient, row, begin), n, g_buffer);
    if (t.basis.data == nullptr && t.pull == 0) {
#pragma omp simd
      for (int64_t c = 0; c < n; ++c) {
        adamw_element(s, job.keep, s.gradient_scale * g[c], 0.0F, p[c], m[c], v[c]);
      }
    } else {
      prepare(job, row, begin, n, g, p, ready, anchor);
#pragma omp simd
      for (int64_t c = 0; c < n; ++c) {
        adamw_element(s, job.keep, ready[c], anchor[c], p[c], m[c], v[c]);
      }
    }
    if (updated != written || !direct) narrow(t.parameter.dtype, p, n, written);
  }
}

// In double: no float overflows or rounds away.
template <typename T>
double squares_in_double(const typename T::Raw *x, int64_t n) {
  constexpr int64_t kSums = 32;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    float values[kSums];
    for (int64_t lane = 0; lane < kSums; lane += kLanes) {
      store(values + lane, T::load(x + i + lane));
    }
#pragma omp simd
    for (int64_t lane = 0; lane < kSums; ++lane) {
      const auto value = static_cast<double>(values[lane]);
      sums[lane] += value * value;
    }
  }
  for (; i < n; ++i) {
    const auto value = static_cast<double>(T::widen(x[i]));
    sums[0] += value * value;
  }
  double total = 0;
  for (const double part : sums) {
    total += part;
  }
  return total;
}

double sum_of_squares(const hf_matrix &a, int64_t row, int64_t first, int64_t last) {
  double total = 0;
  in_dtype(a.dtype, [&](auto type) {
    using T = decltype(type);
    const char *from = at(a, row, first);
    total = squares_in_double<T>(reinterpret_cast<const typename T::Raw *>(from), last - first);
  });
  return total;
}

}  // namespace
