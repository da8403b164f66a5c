// The optimizer's step and the gradient's norm: one pass over memory each.
#include <algorithm>
#include <cmath>

#include "../common.hpp"
#include "simd.hpp"

namespace holdfast {
namespace {

constexpr int64_t kChunk = 1 << 14;  // elements one thread takes at a time

struct Constants {
  float scale, beta1, beta2, one_minus_beta1, one_minus_beta2;
  float step_size;        // lr / (1 - beta1^t)
  float root_correction;  // 1 / sqrt(1 - beta2^t)
  float eps, keep;        // keep = 1 - lr decay
  float pull;             // lr pull
};

HF_CLONES void update(float *p, const float *g, float *m, float *v, int64_t n,
                      const Constants constants) {
  const Constants k = constants;
  for (int64_t i = 0; i < n; i++) {
    float gradient = k.scale * g[i];
    m[i] = k.beta1 * m[i] + k.one_minus_beta1 * gradient;
    v[i] = k.beta2 * v[i] + k.one_minus_beta2 * gradient * gradient;
    p[i] = k.keep * p[i] - k.step_size * m[i] / (std::sqrt(v[i]) * k.root_correction + k.eps);
  }
}

// The same with the two options: `away` is what the basis takes from the gradient.
HF_CLONES void update_with_options(float *p, const float *g, float *m, float *v, const float *away,
                                   const float *reference, int64_t n, const Constants constants) {
  const Constants k = constants;
  for (int64_t i = 0; i < n; i++) {
    float gradient = k.scale * (g[i] - (away == nullptr ? 0.0f : away[i]));
    float before = p[i];
    m[i] = k.beta1 * m[i] + k.one_minus_beta1 * gradient;
    v[i] = k.beta2 * v[i] + k.one_minus_beta2 * gradient * gradient;
    float after =
        k.keep * before - k.step_size * m[i] / (std::sqrt(v[i]) * k.root_correction + k.eps);
    if (reference != nullptr) after -= k.pull * (before - reference[i]);
    p[i] = after;
  }
}

// scratch[k, c] = U^T G, rows of scratch in parallel
void project_columns(const hf_matrix &u, const hf_matrix &g, float *scratch) {
#pragma omp parallel for schedule(static) if (g.rows * g.columns > kParallelWork)
  for (int64_t t = 0; t < u.columns; t++) {
    float *out = scratch + t * g.columns;
    std::fill_n(out, g.columns, 0.0f);
    for (int64_t i = 0; i < g.rows; i++) {
      float factor = static_cast<const float *>(u.data)[i * u.stride + t];
      const float *row = static_cast<const float *>(g.data) + i * g.stride;
      for (int64_t j = 0; j < g.columns; j++) out[j] += factor * row[j];
    }
  }
}

float *at(const hf_matrix &m, int64_t i, int64_t j) {
  return static_cast<float *>(m.data) + i * m.stride + j;
}

void update_span(const hf_adamw_tensor &t, int64_t row, int64_t from, int64_t n,
                 const Constants &k) {
  float *p = at(t.parameter, row, from);
  const float *g = at(t.gradient, row, from);
  float *m = at(t.first_moment, row, from);
  float *v = at(t.second_moment, row, from);
  if (t.basis.data == nullptr && t.reference.data == nullptr) {
    update(p, g, m, v, n, k);
    return;
  }
  float away[256];
  for (int64_t start = 0; start < n; start += 256) {
    int64_t count = std::min<int64_t>(256, n - start);
    if (t.basis.data != nullptr) {
      std::fill_n(away, count, 0.0f);
      for (int64_t d = 0; d < t.basis.columns; d++) {
        float factor = *at(t.basis, row, d);
        const float *along = t.scratch + d * t.parameter.columns + from + start;
        for (int64_t j = 0; j < count; j++) away[j] += factor * along[j];
      }
    }
    const float *reference =
        t.reference.data == nullptr ? nullptr : at(t.reference, row, from + start);
    update_with_options(p + start, g + start, m + start, v + start,
                        t.basis.data == nullptr ? nullptr : away, reference, count, k);
  }
}

HF_CLONES double squares(const float *x, int64_t n) {
  double lanes[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int t = 0; t < 8; t++) {
      double value = x[i + t];
      lanes[t] += value * value;
    }
  }
  double sum = 0;
  for (double lane : lanes) sum += lane;
  for (; i < n; i++) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

}  // namespace
}  // namespace holdfast

using namespace holdfast;

extern "C" int32_t hf_adamw(const hf_adamw_tensor *tensors, int64_t count,
                            const hf_adamw_step *step, void *) {
  if (int32_t status = check_adamw(tensors, count, step)) return status;
  double first = 1 - std::pow(step->beta1, static_cast<double>(step->step));
  double second = 1 - std::pow(step->beta2, static_cast<double>(step->step));
  for (int64_t i = 0; i < count; i++) {
    const hf_adamw_tensor &t = tensors[i];
    Constants k{static_cast<float>(step->gradient_scale),
                static_cast<float>(step->beta1),
                static_cast<float>(step->beta2),
                static_cast<float>(1 - step->beta1),
                static_cast<float>(1 - step->beta2),
                static_cast<float>(step->lr / first),
                static_cast<float>(1 / std::sqrt(second)),
                static_cast<float>(step->eps),
                static_cast<float>(1 - step->lr * t.weight_decay),
                static_cast<float>(step->lr * t.pull)};
    if (t.basis.data != nullptr) project_columns(t.basis, t.gradient, t.scratch);
    int64_t chunks = (t.parameter.columns + kChunk - 1) / kChunk;
    int64_t work = t.parameter.rows * t.parameter.columns;
#pragma omp parallel for schedule(static) collapse(2) if (work > kParallelWork)
    for (int64_t row = 0; row < t.parameter.rows; row++) {
      for (int64_t chunk = 0; chunk < chunks; chunk++) {
        int64_t from = chunk * kChunk;
        update_span(t, row, from, std::min(kChunk, t.parameter.columns - from), k);
      }
    }
  }
  return HF_OK;
}

extern "C" int32_t hf_sum_of_squares(const hf_matrix *matrices, int64_t count, double *partials,
                                     double *result, void *) {
  if (count < 0 || (count > 0 && matrices == nullptr) || partials == nullptr || result == nullptr) {
    return fail(HF_INVALID, "matrices, partials or result: null, or a negative count");
  }
  for (int64_t i = 0; i < count; i++) {
    if (int32_t status = check_matrix(matrices + i, "matrix")) return status;
  }
  double total = 0;
  for (int64_t i = 0; i < count; i++) {
    const hf_matrix &m = matrices[i];
    // A fixed division into parts, each summed by one thread: the result is the same for any.
    int64_t chunks = (m.columns + kChunk - 1) / kChunk;
    int64_t pieces = m.rows * chunks;
    int64_t parts = std::min<int64_t>(HF_NORM_PARTIALS, pieces);
#pragma omp parallel for schedule(static) if (m.rows * m.columns > kParallelWork)
    for (int64_t part = 0; part < parts; part++) {
      double sum = 0;
      for (int64_t piece = part * pieces / parts; piece < (part + 1) * pieces / parts; piece++) {
        int64_t from = piece % chunks * kChunk;
        sum += squares(at(m, piece / chunks, from), std::min(kChunk, m.columns - from));
      }
      partials[part] = sum;
    }
    for (int64_t part = 0; part < parts; part++) total += partials[part];
  }
  *result = total;
  return HF_OK;
}
