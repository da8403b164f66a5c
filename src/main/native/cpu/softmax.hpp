// Cross entropy and KL over rows of logits: two sweeps, the first an online softmax.
#pragma once

#include <cfloat>
#include <cmath>
#include <limits>

#include "kernels.hpp"
#include "simd.hpp"

namespace {

using holdfast::CeKlJob;

// A chunk of both rows stays in the first-level cache between its maximum and its exponentials.
constexpr int64_t kChunk = 1024;

// Statistics of a row so far, relative to its largest logit.
struct RowSum {
  float largest = -FLT_MAX;  // finite, so that a first chunk of -inf does not become NaN
  double total = 0;          // sum of e^(x - largest)
};

float chunk_max(const float *x, int64_t n) {
  Vec largest = splat(-FLT_MAX);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    largest = max(largest, load(x + i));
  }
  if (i < n) {
    largest = max(largest, load_part(x + i, n - i, -FLT_MAX));
  }
  return max_lane(largest);
}

// Moves the running maximum up; returns how far.
double raise(RowSum &row, float chunk_largest) {
  if (!(chunk_largest > row.largest)) {
    return 0;
  }
  const double shift = static_cast<double>(row.largest) - static_cast<double>(chunk_largest);
  row.total *= std::exp(shift);
  row.largest = chunk_largest;
  return shift;
}

void first_sweep(const float *z, int64_t n, RowSum &model) {
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const float *x = z + begin;
    const int64_t count = n - begin < kChunk ? n - begin : kChunk;
    raise(model, chunk_max(x, count));
    const Vec largest = splat(model.largest);
    Vec total = {};
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      total += exp_nonpositive(load(x + i) - largest);
    }
    if (i < count) {
      total += exp_nonpositive(load_part(x + i, count - i, -INFINITY) - largest);
    }
    model.total += static_cast<double>(sum(total));
  }
}

// Both rows at once. `spread` becomes the sum of e^(x - max) (log-ratio of x's row to the other's,
// both relative to their maxima), x being the row the divergence's expectation is taken over.
void first_sweep(const float *x, const float *y, int64_t n, RowSum &over, RowSum &other,
                 double &spread) {
  spread = 0;
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const int64_t count = n - begin < kChunk ? n - begin : kChunk;
    const float *xs = x + begin;
    const float *ys = y + begin;
    const double before = over.total;
    const double up = raise(over, chunk_max(xs, count));
    const double other_up = raise(other, chunk_max(ys, count));
    // Every ratio so far moves by up - other_up, and all of it is scaled like the total.
    if (before != 0) {
      const double scale = std::exp(up);
      spread = scale == 0 ? 0 : scale * (spread + before * (up - other_up));
    }
    const Vec over_largest = splat(over.largest);
    const Vec other_largest = splat(other.largest);
    Vec over_total = {};
    Vec other_total = {};
    Vec ratios = {};
    const auto block = [&](Vec a, Vec b) {
      a -= over_largest;
      b -= other_largest;
      const Vec e = exp_nonpositive(a);
      over_total += e;
      other_total += exp_nonpositive(b);
      ratios += e == 0.0F ? Vec{} : e * (a - b);
    };
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      block(load(xs + i), load(ys + i));
    }
    if (i < count) {
      block(load_part(xs + i, count - i, -INFINITY), load_part(ys + i, count - i, -INFINITY));
    }
    over.total += static_cast<double>(sum(over_total));
    other.total += static_cast<double>(sum(other_total));
    spread += static_cast<double>(sum(ratios));
  }
}

// out[i] = f(z[i], r[i]) over a row; f works on vectors.
template <typename F>
void second_sweep(float *z, const float *r, int64_t n, F f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    store(z + i, f(load(z + i), load(r + i)));
  }
  if (i < n) {
    store_part(z + i, n - i, f(load_part(z + i, n - i, 0.0F), load_part(r + i, n - i, 0.0F)));
  }
}

struct RowTask {
  float *z;
  const float *r;  // null without a reference
  int64_t n;
  int64_t label;  // negative: no cross entropy
  float a;
  float b;
  bool reverse;
};

struct RowLosses {
  double ce;
  double kl;
};

// The second sweep, once both softmaxes are known.
void write_gradient(const RowTask &t, const RowSum &model, const RowSum &reference, double kl) {
  const Vec z_largest = splat(model.largest);
  const Vec z_scale = splat(static_cast<float>(1 / model.total));
  const Vec a = splat(t.a);
  const Vec b = splat(t.b);
  if (t.b == 0) {
    second_sweep(t.z, t.z, t.n,
                 [&](Vec z, Vec) { return a * (exp_nonpositive(z - z_largest) * z_scale); });
    return;
  }
  const Vec r_largest = splat(reference.largest);
  if (!t.reverse) {
    const Vec r_scale = splat(static_cast<float>(1 / reference.total));
    second_sweep(t.z, t.r, t.n, [&](Vec z, Vec r) {
      const Vec p = exp_nonpositive(z - z_largest) * z_scale;
      const Vec q = exp_nonpositive(r - r_largest) * r_scale;
      return a * p + b * (p - q);
    });
    return;
  }
  // log p - log q - KL is the ratio relative to the maxima, less one constant.
  const Vec offset =
      splat(static_cast<float>(std::log(reference.total) - std::log(model.total) - kl));
  second_sweep(t.z, t.r, t.n, [&](Vec z, Vec r) {
    z -= z_largest;
    const Vec e = exp_nonpositive(z);
    const Vec p = e * z_scale;
    const Vec ratio = (z - (r - r_largest)) + offset;
    return a * p + (e == 0.0F ? Vec{} : b * (p * ratio));
  });
}

RowLosses ce_kl_row(const RowTask &t) {
  RowSum model;
  RowSum reference;
  double kl = 0;
  if (t.r == nullptr) {
    first_sweep(t.z, t.n, model);
  } else {
    double spread = 0;
    RowSum &over = t.reverse ? model : reference;
    RowSum &other = t.reverse ? reference : model;
    first_sweep(t.reverse ? t.z : t.r, t.reverse ? t.r : t.z, t.n, over, other, spread);
    kl = spread / over.total - std::log(over.total) + std::log(other.total);
  }
  double ce = 0;
  if (t.label >= 0) {
    const double z = static_cast<double>(t.z[t.label]) - static_cast<double>(model.largest);
    ce = std::log(model.total) - z;
  }
  // A term that is off contributes exactly nothing, whatever the logits hold.
  if (t.a == 0 && t.b == 0) {
    std::memset(t.z, 0, static_cast<size_t>(t.n) * sizeof(float));
  } else {
    write_gradient(t, model, reference, kl);
    if (t.a != 0) {
      t.z[t.label] -= t.a;
    }
  }
  return {ce, kl};
}

void ce_kl(const CeKlJob &job, int64_t first, int64_t last) {
  for (int64_t i = first; i < last; ++i) {
    RowTask task;
    task.z = static_cast<float *>(job.z->data) + i * job.z->stride;
    task.n = job.z->columns;
    task.label = job.labels[i];
    task.a = task.label >= 0 ? job.ce_weight[i] : 0.0F;
    task.b = job.kl_weight != nullptr ? job.kl_weight[i] : 0.0F;
    task.r = job.reference != nullptr
                 ? static_cast<const float *>(job.reference->data) + i * job.reference->stride
                 : nullptr;
    task.reverse = job.direction == HF_KL_REVERSE;
    const RowLosses losses = ce_kl_row(task);
    job.ce[i] = static_cast<float>(losses.ce);
    if (job.kl != nullptr) {
      job.kl[i] = static_cast<float>(losses.kl);
    }
  }
}

}  // namespace
