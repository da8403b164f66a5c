// AdamW and the gradient norm: elementwise, left to the compiler's vectoriser.
#pragma once

#include <math.h>

#include "kernels.hpp"

namespace {

using holdfast::AdamwScalars;

inline float *at(const hf_matrix &a, int64_t row, int64_t column) {
  return static_cast<float *>(a.data) + row * a.stride + column;
}

void adamw_components(const hf_adamw_tensor &t, const AdamwScalars &s, int64_t first,
                      int64_t last) {
  const int64_t k = t.basis.columns;
  const int64_t columns = t.parameter.columns;
  for (int64_t j = 0; j < k; ++j) {
    for (int64_t c = first; c < last; ++c) {
      t.scratch[j * columns + c] = 0;
    }
  }
  for (int64_t i = 0; i < t.parameter.rows; ++i) {
    const float *g = at(t.gradient, i, 0);
    for (int64_t j = 0; j < k; ++j) {
      const float b = *at(t.basis, i, j) * s.gradient_scale;
      float *sums = t.scratch + j * columns;
#pragma omp simd
      for (int64_t c = first; c < last; ++c) {
        sums[c] += b * g[c];
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

void adamw_row(const hf_adamw_tensor &t, const AdamwScalars &s, double lr, int64_t row,
               int64_t first, int64_t last) {
  // Blocks of columns, so that the projected gradient fits on the stack.
  constexpr int64_t kBlock = 1024;
  const float keep = static_cast<float>(1 - lr * t.weight_decay);
  const float pull = static_cast<float>(lr * t.pull);
  for (int64_t begin = first; begin < last; begin += kBlock) {
    const int64_t n = last - begin < kBlock ? last - begin : kBlock;
    float *__restrict p = at(t.parameter, row, begin);
    float *__restrict m = at(t.first_moment, row, begin);
    float *__restrict v = at(t.second_moment, row, begin);
    const float *__restrict g = at(t.gradient, row, begin);
    if (t.basis.data == nullptr && t.pull == 0) {
#pragma omp simd
      for (int64_t c = 0; c < n; ++c) {
        adamw_element(s, keep, s.gradient_scale * g[c], 0.0F, p[c], m[c], v[c]);
      }
      continue;
    }
    float projected[kBlock];
    float anchor[kBlock];
    const float *reference = t.pull != 0 ? at(t.reference, row, begin) : p;
#pragma omp simd
    for (int64_t c = 0; c < n; ++c) {
      projected[c] = s.gradient_scale * g[c];
      anchor[c] = pull * (p[c] - reference[c]);
    }
    for (int64_t j = 0; t.basis.data != nullptr && j < t.basis.columns; ++j) {
      const float b = *at(t.basis, row, j);
      const float *component = t.scratch + j * t.parameter.columns + begin;
#pragma omp simd
      for (int64_t c = 0; c < n; ++c) {
        projected[c] -= b * component[c];
      }
    }
#pragma omp simd
    for (int64_t c = 0; c < n; ++c) {
      adamw_element(s, keep, projected[c], anchor[c], p[c], m[c], v[c]);
    }
  }
}

// In double: no float32 overflows or rounds away.
double sum_of_squares(const float *x, int64_t n) {
  constexpr int64_t kSums = 32;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
#pragma omp simd
    for (int64_t lane = 0; lane < kSums; ++lane) {
      const double value = static_cast<double>(x[i + lane]);
      sums[lane] += value * value;
    }
  }
  for (; i < n; ++i) {
    const double value = static_cast<double>(x[i]);
    sums[0] += value * value;
  }
  double total = 0;
  for (const double part : sums) {
    total += part;
  }
  return total;
}

}  // namespace
