// Cross entropy and KL over rows of logits: two sweeps, the first an online softmax.
#pragma once

#include <cfloat>
#include <cmath>
#include <type_traits>

#include "convert.hpp"
#include "kernels.hpp"
#include "simd.hpp"

namespace {

using holdfast::CeKlJob;
using holdfast::kChunk;
using holdfast::kSegment;
using holdfast::RowStats;
using holdfast::RowSum;

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
template <typename T, typename F>
HF_INLINE void each(typename T::Raw *out, const typename T::Raw *x, const typename T::Raw *y,
                    int64_t n, const F &f) {
  in_vectors(n, [&](int64_t i, int64_t count) HF_INLINED {
    const Vec value = f(load_some<T>(x + i, count, 0.0F), load_some<T>(y + i, count, 0.0F));
    store_some<T>(out + i, count, value);
  });
}

// Logits begin..begin+n of a row, capped.
void cap_logits(const RowTask &t, const char *row, int64_t begin, int64_t n, float *to) {
  widen(t.dtype, row + begin * bytes_of(t.dtype), n, to);
  const Vec cap = splat(t.cap);
  each<Float32>(to, to, to, n, [&](Vec z, Vec) HF_INLINED { return cap * tanh(z / cap); });
}

// Calls f(dtype, z, r) with logits begin..begin+n of both rows as the loss sees them: where they
// lie, or capped in a buffer. Without a reference r is z.
template <typename F>
void with_logits(const RowTask &t, int64_t begin, int64_t n, const F &f) {
  if (t.cap != 0) {
    float z[kChunk];
    float r[kChunk];
    cap_logits(t, t.z, begin, n, z);
    if (t.r != nullptr) cap_logits(t, t.r, begin, n, r);
    f(Float32(), z, t.r != nullptr ? r : z);
    return;
  }
  in_dtype(t.dtype, [&](auto type) {
    using Raw = typename decltype(type)::Raw;
    auto *z = reinterpret_cast<Raw *>(t.z) + begin;
    f(type, z, t.r != nullptr ? reinterpret_cast<Raw *>(t.r) + begin : z);
  });
}

// Whether the first sweep leaves e^(z - largest so far) where z was, which saves the second an
// exponential: where nothing but the softmax of z is asked of it, and no bit is lost.
template <typename T>
bool keeps_exponentials(const RowTask &t) {
  return std::is_same_v<T, Float32> && t.cap == 0 && (t.r == nullptr || !t.reverse);
}

template <typename T>
float chunk_max(const typename T::Raw *x, int64_t n) {
  Vec largest = splat(-FLT_MAX);
  in_vectors(n, [&](int64_t i, int64_t count)
                    HF_INLINED { largest = max(largest, load_some<T>(x + i, count, -FLT_MAX)); });
  return max_lane(largest);
}

template <typename T>
double chunk_sum(const typename T::Raw *x, int64_t n) {
  Vec total = {};
  in_vectors(
      n, [&](int64_t i, int64_t count) HF_INLINED { total += load_some<T>(x + i, count, 0.0F); });
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

// What the next chunk will read, asked for while this one's exponentials keep the core busy: a
// sweep that first waits for memory and then computes takes the sum of both.
struct Ahead {
  const char *z;
  const char *r;
  int64_t bytes;  // of a logit

  Ahead(const RowTask &t, int64_t begin) : bytes(bytes_of(t.dtype)) {
    z = t.z + (begin + kChunk) * bytes;
    r = t.r != nullptr ? t.r + (begin + kChunk) * bytes : nullptr;
  }
  HF_INLINE void ask_one(int64_t i) const { prefetch(z, i * bytes); }
  HF_INLINE void ask_both(int64_t i) const {
    prefetch(z, i * bytes);
    prefetch(r, i * bytes);
  }
};

// The model's row alone; Keep: its exponentials in its place.
template <typename T, bool Keep>
void add_chunk(RowSum &model, typename T::Raw *z, int64_t n, Ahead ahead) {
  const Vec largest = splat(model.largest);
  Vec total = {};
  in_vectors(n, [&](int64_t i, int64_t count) HF_INLINED {
    ahead.ask_one(i);
    const Vec e = exp_nonpositive(load_some<T>(z + i, count, -INFINITY) - largest);
    total += e;
    if constexpr (Keep) store_some<T>(z + i, count, e);
  });
  model.total += static_cast<double>(sum(total));
}

// Both rows at once, x being the one that the divergence's expectation is taken over; Keep: y's
// exponentials in its place.
template <typename T, bool Keep>
double add_chunk(RowSum &over, RowSum &other, const typename T::Raw *x, typename T::Raw *y,
                 int64_t n, Ahead ahead) {
  const Vec over_largest = splat(over.largest);
  const Vec other_largest = splat(other.largest);
  Vec over_total = {};
  Vec other_total = {};
  Vec ratios = {};
  in_vectors(n, [&](int64_t i, int64_t count) HF_INLINED {
    ahead.ask_both(i);
    const Vec a = load_some<T>(x + i, count, -INFINITY) - over_largest;
    const Vec b = load_some<T>(y + i, count, -INFINITY) - other_largest;
    const Vec e = exp_nonpositive(a);
    const Vec f = exp_nonpositive(b);
    over_total += e;
    other_total += f;
    ratios += e == 0.0F ? Vec{} : e * (a - b);
    if constexpr (Keep) store_some<T>(y + i, count, f);
  });
  over.total += static_cast<double>(sum(over_total));
  other.total += static_cast<double>(sum(other_total));
  return static_cast<double>(sum(ratios));
}

template <typename T, bool Keep>
void add_chunk(const RowTask &t, RowStats &s, typename T::Raw *z, typename T::Raw *r, int64_t begin,
               int64_t n) {
  const Ahead ahead(t, begin);
  if (t.r == nullptr) {
    add_chunk<T, Keep>(s.model, z, n, ahead);
  } else if (t.reverse) {
    s.spread += add_chunk<T, false>(s.model, s.reference, z, r, n, ahead);
  } else {
    s.spread += add_chunk<T, Keep>(s.reference, s.model, r, z, n, ahead);
  }
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
  for_chunks(t, segment, [&](int64_t begin, int64_t n) {
    with_logits(t, begin, n, [&](auto type, auto *z, auto *r) {
      using T = decltype(type);
      if (t.r == nullptr) {
        raise(s.model, chunk_max<T>(z, n));
      } else {
        raise(s, t.reverse, chunk_max<T>(z, n), chunk_max<T>(r, n));
      }
      if (t.smoothing != 0) {
        s.logits += chunk_sum<T>(z, n);
      }
      if (t.label >= begin && t.label < begin + n) {
        s.label = T::widen(z[t.label - begin]);
      }
      s.largest[begin % kSegment / kChunk] = s.model.largest;
      if (keeps_exponentials<T>(t)) {
        add_chunk<T, true>(t, s, z, r, begin, n);
      } else {
        add_chunk<T, false>(t, s, z, r, begin, n);
      }
    });
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

// Calls f with what makes the gradient, with respect to what the loss sees and but for the label's
// part, of vectors of both rows. `largest` is what the model's chunk of exponentials is relative
// to.
template <typename T, typename F>
void with_gradient(const RowTask &t, const RowStats &s, float largest, const F &f) {
  const auto a = static_cast<double>(t.a);
  const Vec task = splat(t.a);
  const Vec b = splat(t.b);
  const Vec everywhere = splat(static_cast<float>(a * t.smoothing / static_cast<double>(t.n)));
  const Vec z_largest = splat(s.model.largest);
  const Vec z_scale = splat(static_cast<float>(1 / s.model.total));
  const Vec r_largest = splat(s.reference.largest);
  const Vec r_scale = splat(static_cast<float>(1 / s.reference.total));
  const auto q_of = [=](Vec y) HF_INLINED { return exp_nonpositive(y - r_largest) * r_scale; };
  if (keeps_exponentials<T>(t)) {
    const double shift = static_cast<double>(largest) - static_cast<double>(s.model.largest);
    const Vec scale = splat(static_cast<float>(std::exp(shift) / s.model.total));
    if (t.b == 0) {
      f([=](Vec e, Vec) HF_INLINED { return task * (e * scale) - everywhere; });
    } else {
      f([=](Vec e, Vec y) HF_INLINED {
        const Vec p = e * scale;
        return (task * p + b * (p - q_of(y))) - everywhere;
      });
    }
  } else if (t.b == 0) {
    f([=](Vec x, Vec)
          HF_INLINED { return task * (exp_nonpositive(x - z_largest) * z_scale) - everywhere; });
  } else if (!t.reverse) {
    f([=](Vec x, Vec y) HF_INLINED {
      const Vec p = exp_nonpositive(x - z_largest) * z_scale;
      return (task * p + b * (p - q_of(y))) - everywhere;
    });
  } else {
    // log p - log q - KL is the ratio relative to the maxima, less one constant.
    const Vec offset = splat(static_cast<float>(std::log(s.reference.total) -
                                                std::log(s.model.total) - divergence(t, s)));
    f([=](Vec x, Vec y) HF_INLINED {
      const Vec e = exp_nonpositive(x - z_largest);
      const Vec p = e * z_scale;
      const Vec ratio = ((x - z_largest) - (y - r_largest)) + offset;
      return (task * p + (e == 0.0F ? Vec{} : b * (p * ratio))) - everywhere;
    });
  }
}

// The gradient of a chunk in place of its logits; `through` takes it from what the loss sees to the
// logits themselves.
template <typename T, typename F, typename G>
void write_gradient(const RowTask &t, typename T::Raw *z, const typename T::Raw *r, int64_t begin,
                    int64_t n, const F &gradient, const G &through) {
  const int64_t label = t.label - begin;
  const bool here = t.a != 0 && label >= 0 && label < n;
  Vec at_label = {};
  if (here) {
    const Vec x = splat(T::widen(z[label]));
    const double wanted = static_cast<double>(t.a) * (1 - t.smoothing);
    at_label =
        through(gradient(x, splat(T::widen(r[label]))) - splat(static_cast<float>(wanted)), x);
  }
  each<T>(z, z, r, n, [&](Vec x, Vec y) HF_INLINED { return through(gradient(x, y), x); });
  if (here) z[label] = T::narrow(at_label[0]);
}

// The second sweep over a segment, once both softmaxes are known.
void ce_kl_gradient(const CeKlJob &job, int64_t i, int64_t segment, const RowStats &s,
                    const float *largest) {
  const RowTask t = task_of(job, i);
  const Vec per_cap = splat(t.cap != 0 ? 1 / t.cap : 0.0F);
  for_chunks(t, segment, [&](int64_t begin, int64_t n) {
    char *to = t.z + begin * bytes_of(t.dtype);
    // A term that is off contributes exactly nothing, whatever the logits hold.
    if (t.a == 0 && t.b == 0) {
      std::memset(to, 0, static_cast<size_t>(n * bytes_of(t.dtype)));
      return;
    }
    with_logits(t, begin, n, [&](auto type, auto *z, auto *r) {
      using T = decltype(type);
      with_gradient<T>(t, s, largest[begin % kSegment / kChunk], [&](const auto &gradient) {
        if constexpr (std::is_same_v<T, Float32>) {
          if (t.cap != 0) {
            write_gradient<T>(t, z, r, begin, n, gradient, [=](Vec g, Vec capped) HF_INLINED {
              const Vec x = capped * per_cap;
              return g * (splat(1.0F) - x * x);
            });
            narrow(t.dtype, z, n, to);
            return;
          }
        }
        write_gradient<T>(t, z, r, begin, n, gradient, [](Vec g, Vec) HF_INLINED { return g; });
      });
    });
  });
}

}  // namespace
