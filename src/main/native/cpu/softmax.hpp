// Cross entropy and KL over rows of logits: two sweeps, the first an online softmax.
#pragma once

#include <cfloat>
#include <cmath>
#include <limits>

#include "convert.hpp"
#include "kernels.hpp"
#include "simd.hpp"

namespace {

using holdfast::CeKlJob;
using holdfast::kSegment;
using holdfast::RowStats;
using holdfast::RowSum;

// A chunk of both rows stays in the first-level cache between its maximum and its exponentials.
constexpr int64_t kChunk = 1024;

// One row of the selection, and what its loss is made of.
struct RowTask {
  char *z;
  char *r;  // null without a reference
  int32_t dtype;
  int64_t n;
  int64_t label;  // negative: no cross entropy
  float a;
  float b;
  float cap;
  double smoothing;
  bool reverse;
};

RowTask task_of(const CeKlJob &job, int64_t i) {
  const int64_t row = job.rows != nullptr ? job.rows[i] : i;
  RowTask t;
  t.z = at(*job.z, row, 0);
  t.r = job.reference != nullptr ? at(*job.reference, row, 0) : nullptr;
  t.dtype = job.z->dtype;
  t.n = job.z->columns;
  t.label = job.labels[i];
  t.a = t.label >= 0 ? job.ce_weight[i] : 0.0F;
  t.b = job.kl_weight != nullptr ? job.kl_weight[i] : 0.0F;
  t.cap = static_cast<float>(job.loss->soft_cap);
  t.smoothing = job.loss->label_smoothing;
  t.reverse = job.loss->direction == HF_KL_REVERSE;
  return t;
}

// out[i] = f(x[i], y[i]); f works on vectors.
template <typename F>
HF_INLINE void each(float *out, const float *x, const float *y, int64_t n, const F &f) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const Vec value = f(load_some(x + i, n - i, 0.0F), load_some(y + i, n - i, 0.0F));
    if (n - i >= kLanes) {
      store(out + i, value);
    } else {
      store_part(out + i, n - i, value);
    }
  }
}

// Logits begin..begin+n of a row as its loss sees them: as floats, and capped.
const float *logits(const RowTask &t, const char *row, int64_t begin, int64_t n, float *buffer) {
  const float *x = as_floats(t.dtype, row + begin * bytes_of(t.dtype), n, buffer);
  if (t.cap == 0) {
    return x;
  }
  const Vec cap = splat(t.cap);
  each(buffer, x, x, n, [&](Vec z, Vec) { return cap * tanh(z / cap); });
  return buffer;
}

float chunk_max(const float *x, int64_t n) {
  Vec largest = splat(-FLT_MAX);
  for (int64_t i = 0; i < n; i += kLanes) {
    largest = max(largest, load_some(x + i, n - i, -FLT_MAX));
  }
  return max_lane(largest);
}

double chunk_sum(const float *x, int64_t n) {
  Vec total = {};
  for (int64_t i = 0; i < n; i += kLanes) {
    total += load_some(x + i, n - i, 0.0F);
  }
  return static_cast<double>(sum(total));
}

// Moves the running maximum up; returns how far.
double raise(RowSum &row, float largest) {
  if (!(largest > row.largest)) {
    return 0;
  }
  const double shift = static_cast<double>(row.largest) - static_cast<double>(largest);
  row.total *= std::exp(shift);
  row.largest = largest;
  return shift;
}

// Both rows. Every ratio so far moves by the difference of the shifts, and all of it is scaled like
// the total that the divergence's expectation is taken over.
void raise(RowStats &s, bool reverse, float z, float r) {
  const double before = reverse ? s.model.total : s.reference.total;
  const double up_z = raise(s.model, z);
  const double up_r = raise(s.reference, r);
  if (before != 0) {
    const double scale = std::exp(reverse ? up_z : up_r);
    const double moved = reverse ? up_z - up_r : up_r - up_z;
    s.spread = scale == 0 ? 0 : scale * (s.spread + before * moved);
  }
}

void add_chunk(RowSum &model, const float *z, int64_t n) {
  const Vec largest = splat(model.largest);
  Vec total = {};
  for (int64_t i = 0; i < n; i += kLanes) {
    total += exp_nonpositive(load_some(z + i, n - i, -INFINITY) - largest);
  }
  model.total += static_cast<double>(sum(total));
}

// Both rows at once, x being the one that the divergence's expectation is taken over.
double add_chunk(RowSum &over, RowSum &other, const float *x, const float *y, int64_t n) {
  const Vec over_largest = splat(over.largest);
  const Vec other_largest = splat(other.largest);
  Vec over_total = {};
  Vec other_total = {};
  Vec ratios = {};
  for (int64_t i = 0; i < n; i += kLanes) {
    const Vec a = load_some(x + i, n - i, -INFINITY) - over_largest;
    const Vec b = load_some(y + i, n - i, -INFINITY) - other_largest;
    const Vec e = exp_nonpositive(a);
    over_total += e;
    other_total += exp_nonpositive(b);
    ratios += e == 0.0F ? Vec{} : e * (a - b);
  }
  over.total += static_cast<double>(sum(over_total));
  other.total += static_cast<double>(sum(other_total));
  return static_cast<double>(sum(ratios));
}

// Calls visit(begin, n) for the chunks of a segment.
template <typename Visit>
void for_chunks(const RowTask &t, int64_t segment, const Visit &visit) {
  const int64_t first = segment * kSegment;
  const int64_t last = first + kSegment < t.n ? first + kSegment : t.n;
  for (int64_t begin = first; begin < last; begin += kChunk) {
    visit(begin, last - begin < kChunk ? last - begin : kChunk);
  }
}

RowStats ce_kl_stats(const CeKlJob &job, int64_t i, int64_t segment) {
  const RowTask t = task_of(job, i);
  RowStats s;
  float z_buffer[kChunk];
  float r_buffer[kChunk];
  for_chunks(t, segment, [&](int64_t begin, int64_t n) {
    const float *z = logits(t, t.z, begin, n, z_buffer);
    if (t.r == nullptr) {
      raise(s.model, chunk_max(z, n));
      add_chunk(s.model, z, n);
    } else {
      const float *r = logits(t, t.r, begin, n, r_buffer);
      raise(s, t.reverse, chunk_max(z, n), chunk_max(r, n));
      s.spread += t.reverse ? add_chunk(s.model, s.reference, z, r, n)
                            : add_chunk(s.reference, s.model, r, z, n);
    }
    if (t.smoothing != 0) {
      s.logits += chunk_sum(z, n);
    }
    if (t.label >= begin && t.label < begin + n) {
      s.label = z[t.label - begin];
    }
  });
  return s;
}

void ce_kl_merge(const CeKlJob &job, RowStats &s, const RowStats &next) {
  const bool reverse = job.loss->direction == HF_KL_REVERSE;
  RowStats part = next;
  raise(s, reverse, part.model.largest, part.reference.largest);
  raise(part, reverse, s.model.largest, s.reference.largest);
  s.model.total += part.model.total;
  s.reference.total += part.reference.total;
  s.spread += part.spread;
  s.logits += part.logits;
  s.label += part.label;
}

double divergence(const RowTask &t, const RowStats &s) {
  if (t.r == nullptr) {
    return 0;
  }
  const RowSum &over = t.reverse ? s.model : s.reference;
  const RowSum &other = t.reverse ? s.reference : s.model;
  return s.spread / over.total - std::log(over.total) + std::log(other.total);
}

void ce_kl_losses(const CeKlJob &job, int64_t i, const RowStats &s) {
  const RowTask t = task_of(job, i);
  double ce = 0;
  if (t.label >= 0) {
    const auto below = [&](double z) {
      return std::log(s.model.total) - (z - static_cast<double>(s.model.largest));
    };
    ce = t.smoothing == 1 ? 0 : (1 - t.smoothing) * below(static_cast<double>(s.label));
    if (t.smoothing != 0) {
      ce += t.smoothing * below(s.logits / static_cast<double>(t.n));
    }
  }
  job.ce[i] = static_cast<float>(ce);
  if (job.kl != nullptr) {
    job.kl[i] = static_cast<float>(divergence(t, s));
  }
}

// The gradient of n logits with respect to what the loss sees, but for the label's.
void gradient_chunk(const RowTask &t, const RowStats &s, const float *z, const float *r, int64_t n,
                    float *out) {
  const Vec z_largest = splat(s.model.largest);
  const Vec z_scale = splat(static_cast<float>(1 / s.model.total));
  const Vec a = splat(t.a);
  const Vec b = splat(t.b);
  const Vec everywhere =
      splat(static_cast<float>(static_cast<double>(t.a) * t.smoothing / static_cast<double>(t.n)));
  if (t.b == 0) {
    each(out, z, z, n,
         [&](Vec x, Vec) { return a * (exp_nonpositive(x - z_largest) * z_scale) - everywhere; });
    return;
  }
  const Vec r_largest = splat(s.reference.largest);
  if (!t.reverse) {
    const Vec r_scale = splat(static_cast<float>(1 / s.reference.total));
    each(out, z, r, n, [&](Vec x, Vec y) {
      const Vec p = exp_nonpositive(x - z_largest) * z_scale;
      const Vec q = exp_nonpositive(y - r_largest) * r_scale;
      return (a * p + b * (p - q)) - everywhere;
    });
    return;
  }
  // log p - log q - KL is the ratio relative to the maxima, less one constant.
  const Vec offset = splat(
      static_cast<float>(std::log(s.reference.total) - std::log(s.model.total) - divergence(t, s)));
  each(out, z, r, n, [&](Vec x, Vec y) {
    x -= z_largest;
    const Vec e = exp_nonpositive(x);
    const Vec p = e * z_scale;
    const Vec ratio = (x - (y - r_largest)) + offset;
    return (a * p + (e == 0.0F ? Vec{} : b * (p * ratio))) - everywhere;
  });
}

// The second sweep over a segment, once both softmaxes are known.
void ce_kl_gradient(const CeKlJob &job, int64_t i, int64_t segment, const RowStats &s) {
  const RowTask t = task_of(job, i);
  float z_buffer[kChunk];
  float r_buffer[kChunk];
  float out_buffer[kChunk];
  const Vec per_cap = splat(t.cap != 0 ? 1 / t.cap : 0.0F);
  for_chunks(t, segment, [&](int64_t begin, int64_t n) {
    char *to = t.z + begin * bytes_of(t.dtype);
    // A term that is off contributes exactly nothing, whatever the logits hold.
    if (t.a == 0 && t.b == 0) {
      std::memset(to, 0, static_cast<size_t>(n * bytes_of(t.dtype)));
      return;
    }
    const float *z = logits(t, t.z, begin, n, z_buffer);
    const float *r = t.b != 0 ? logits(t, t.r, begin, n, r_buffer) : z;
    const bool direct = t.dtype == HF_FLOAT32;
    float *out = direct ? reinterpret_cast<float *>(to) : out_buffer;
    gradient_chunk(t, s, z, r, n, out);
    if (t.a != 0 && t.label >= begin && t.label < begin + n) {
      out[t.label - begin] -= static_cast<float>(static_cast<double>(t.a) * (1 - t.smoothing));
    }
    if (t.cap != 0) {
      each(out, out, z, n, [&](Vec g, Vec capped) {
        const Vec x = capped * per_cap;
        return g * (splat(1.0F) - x * x);
      });
    }
    if (!direct) {
      narrow(t.dtype, out, n, to);
    }
  });
}

}  // namespace
