// Cross entropy and Kullback-Leibler divergence of rows of logits, and their gradient, in place.
// The first sweep sums, the second writes; a row stays in cache between them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "../common.hpp"
#include "simd.hpp"

namespace holdfast {
namespace {

constexpr int64_t kChunk = 1024;  // summed in float, chunks are added in double

// Largest value, NaN aside; a NaN shows in the sum.
HF_CLONES float largest(const float *z, int64_t n) {
  float lanes[16];
  for (float &lane : lanes) lane = -std::numeric_limits<float>::infinity();
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int t = 0; t < 16; t++) lanes[t] = z[i + t] > lanes[t] ? z[i + t] : lanes[t];
  }
  for (; i < n; i++) lanes[0] = z[i] > lanes[0] ? z[i] : lanes[0];
  return *std::max_element(lanes, lanes + 16);
}

// sum of e^(z - m) over one chunk
HF_CLONES float sum_exp(const float *z, int64_t n, float m) {
  float lanes[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int t = 0; t < 16; t++) lanes[t] += exp_negative(z[i + t] - m);
  }
  float sum = 0;
  for (float lane : lanes) sum += lane;
  for (; i < n; i++) sum += exp_negative(z[i] - m);
  return sum;
}

// sum of e^(a - m) (a - b) over one chunk; 0 where e^(a - m) is
HF_CLONES float sum_exp_difference(const float *a, const float *b, int64_t n, float m) {
  float lanes[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int t = 0; t < 16; t++) {
      float e = exp_negative(a[i + t] - m);
      float term = e * (a[i + t] - b[i + t]);
      lanes[t] += e == 0.0f ? 0.0f : term;
    }
  }
  float sum = 0;
  for (float lane : lanes) sum += lane;
  for (; i < n; i++) {
    float e = exp_negative(a[i] - m);
    sum += e == 0.0f ? 0.0f : e * (a[i] - b[i]);
  }
  return sum;
}

// z <- scale e^(z - lse)
HF_CLONES void write_softmax(float *z, int64_t n, float lse, float scale) {
  for (int64_t i = 0; i < n; i++) z[i] = scale * exp_negative(z[i] - lse);
}

// z <- (a + b) p - b q
HF_CLONES void write_forward(float *z, const float *r, int64_t n, float lse_z, float lse_r, float a,
                             float b) {
  for (int64_t i = 0; i < n; i++) {
    z[i] = (a + b) * exp_negative(z[i] - lse_z) - b * exp_negative(r[i] - lse_r);
  }
}

// z <- a p + b p (log p - log q - kl)
HF_CLONES void write_reverse(float *z, const float *r, int64_t n, float lse_z, float lse_r, float a,
                             float b, float kl) {
  for (int64_t i = 0; i < n; i++) {
    float log_p = z[i] - lse_z;
    float p = exp_negative(log_p);
    float term = p * (log_p - (r[i] - lse_r) - kl);
    z[i] = a * p + b * (p == 0.0f ? 0.0f : term);
  }
}

template <typename Sum>
double in_chunks(int64_t n, Sum sum) {
  double total = 0;
  for (int64_t i = 0; i < n; i += kChunk) total += sum(i, std::min(kChunk, n - i));
  return total;
}

struct Normaliser {
  float m;
  double sum;
  double lse() const { return m + std::log(sum); }
};

Normaliser normaliser(const float *z, int64_t n) {
  float m = largest(z, n);
  return {m, in_chunks(n, [&](int64_t i, int64_t c) { return sum_exp(z + i, c, m); })};
}

void one_row(float *z, const float *r, int64_t n, int64_t label, float ce_weight, float kl_weight,
             int32_t direction, float *ce, float *kl) {
  Normaliser p = normaliser(z, n);
  float a = label < 0 ? 0.0f : ce_weight;
  *ce = label < 0 ? 0.0f : static_cast<float>(p.lse() - z[label]);
  float lse_z = static_cast<float>(p.lse());
  if (r == nullptr) {
    write_softmax(z, n, lse_z, a);
  } else {
    Normaliser q = normaliser(r, n);
    bool forward = direction == HF_KL_FORWARD;
    const float *from = forward ? r : z;
    const float *to = forward ? z : r;
    const Normaliser &weights = forward ? q : p;
    double sum = in_chunks(n, [&](int64_t i, int64_t c) {
      return sum_exp_difference(from + i, to + i, c, weights.m);
    });
    double shift = forward ? p.lse() - q.lse() : q.lse() - p.lse();
    float divergence = static_cast<float>(sum / weights.sum + shift);
    if (kl != nullptr) *kl = divergence;
    float lse_r = static_cast<float>(q.lse());
    if (kl_weight == 0.0f) {
      write_softmax(z, n, lse_z, a);
    } else if (forward) {
      write_forward(z, r, n, lse_z, lse_r, a, kl_weight);
    } else {
      write_reverse(z, r, n, lse_z, lse_r, a, kl_weight, divergence);
    }
  }
  if (a == 0.0f && (r == nullptr || kl_weight == 0.0f)) {
    std::fill_n(z, n, 0.0f);  // a row that is switched off, whatever it holds
  } else if (a != 0.0f) {
    z[label] -= a;
  }
}

}  // namespace
}  // namespace holdfast

using namespace holdfast;

extern "C" int32_t hf_ce_kl(const hf_matrix *z, const hf_matrix *r, const int64_t *labels,
                            const float *ce_weight, const float *kl_weight, int32_t direction,
                            float *ce, float *kl, void *) {
  if (int32_t status = check_ce_kl(z, r, labels, ce_weight, kl_weight, direction, ce)) {
    return status;
  }
  for (int64_t i = 0; i < z->rows; i++) {
    if (labels[i] >= z->columns) {
      return fail(HF_INVALID, "labels[%lld]: %lld is outside the vocabulary of %lld",
                  static_cast<long long>(i), static_cast<long long>(labels[i]),
                  static_cast<long long>(z->columns));
    }
  }
  bool with_reference = r != nullptr && r->data != nullptr;
#pragma omp parallel for schedule(static) if (z->rows * z->columns > kParallelWork)
  for (int64_t i = 0; i < z->rows; i++) {
    one_row(static_cast<float *>(z->data) + i * z->stride,
            with_reference ? static_cast<const float *>(r->data) + i * r->stride : nullptr,
            z->columns, labels[i], ce_weight[i], kl_weight == nullptr ? 0.0f : kl_weight[i],
            direction, ce + i, kl == nullptr ? nullptr : kl + i);
    if (!with_reference && kl != nullptr) kl[i] = 0.0f;
  }
  return HF_OK;
}
