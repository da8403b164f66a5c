// The pieces of a decoder's block: norms, rotations and gated activations of rows, a chunk of
// columns at a time as floats in the first-level cache.
#pragma once

#include <math.h>

#include "convert.hpp"
#include "kernels.hpp"
#include "simd.hpp"

namespace {

using holdfast::GateJob;
using holdfast::NormJob;
using holdfast::RotateJob;

constexpr int64_t kPiece = 1024;  // columns of a chunk

// Calls piece(begin, n) for the chunks of some columns.
template <typename F>
inline void in_pieces(int64_t columns, const F &piece) {
  for (int64_t begin = 0; begin < columns; begin += kPiece) {
    piece(begin, columns - begin < kPiece ? columns - begin : kPiece);
  }
}

// Where a chunk is computed: in place for float32, else in a buffer that leave() rounds.
class Written {
 public:
  Written(const hf_matrix &a, int64_t row, int64_t column)
      : dtype_(a.dtype), to_(at(a, row, column)) {}

  float *values() { return dtype_ == HF_FLOAT32 ? reinterpret_cast<float *>(to_) : buffer_; }
  void leave(int64_t n) {
    if (dtype_ != HF_FLOAT32) narrow(dtype_, buffer_, n, to_);
  }

 private:
  int32_t dtype_;
  char *to_;
  float buffer_[kPiece];
};

// ---- Norm

float squares(const float *x, int64_t n) {
  constexpr int64_t kSums = 4;
  Vec sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums * kLanes <= n; i += kSums * kLanes) {
    for (int64_t s = 0; s < kSums; ++s) {
      const Vec v = load(x + i + s * kLanes);
      sums[s] += v * v;
    }
  }
  for (; i < n; i += kLanes) {
    const Vec v = i + kLanes <= n ? load(x + i) : load_part(x + i, n - i, 0.0F);
    sums[0] += v * v;
  }
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

void rms_norm(const NormJob &job, int64_t first, int64_t last) {
  const hf_matrix &x = *job.x;
  const float plus = job.one_plus ? 1.0F : 0.0F;
  float buffer[kPiece];
  float w_buffer[kPiece];
  for (int64_t row = first; row < last; ++row) {
    float square = 0;
    in_pieces(x.columns, [&](int64_t begin, int64_t n) {
      square += squares(as_floats(x.dtype, at(x, row, begin), n, buffer), n);
    });
    const float r = 1 / sqrtf(square / static_cast<float>(x.columns) + job.eps);
    if (job.inverse != nullptr) job.inverse[row] = r;
    in_pieces(x.columns, [&](int64_t begin, int64_t n) {
      const float *from = as_floats(x.dtype, at(x, row, begin), n, buffer);
      const float *w = as_floats(job.w->dtype, at(*job.w, 0, begin), n, w_buffer);
      Written y(*job.y, row, begin);
      float *to = y.values();
      if (job.one_plus || x.dtype == HF_FLOAT32) {
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) to[j] = (from[j] * r) * (w[j] + plus);
      } else {
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) to[j] = from[j] * r;
        round_to(x.dtype, n, to);
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) to[j] *= w[j];
      }
      y.leave(n);
    });
  }
}

// sum_j x[j] g[j] (w[j] + plus)
float weighted_dot(const float *x, const float *g, const float *w, float plus, int64_t n) {
  constexpr int64_t kSums = 4;
  const Vec more = splat(plus);
  Vec sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums * kLanes <= n; i += kSums * kLanes) {
    for (int64_t s = 0; s < kSums; ++s) {
      const int64_t j = i + s * kLanes;
      sums[s] += load(x + j) * (load(g + j) * (load(w + j) + more));
    }
  }
  for (; i < n; i += kLanes) {
    const int64_t left = n - i;
    sums[0] += left >= kLanes
                   ? load(x + i) * (load(g + i) * (load(w + i) + more))
                   : load_part(x + i, left, 0.0F) *
                         (load_part(g + i, left, 0.0F) * (load_part(w + i, left, 0.0F) + more));
  }
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

void rms_norm_backward(const NormJob &job, int64_t first, int64_t last, float *dw) {
  const hf_matrix &x = *job.x;
  const hf_matrix &g = *job.y;
  const hf_matrix &w = *job.w;
  const float plus = job.one_plus ? 1.0F : 0.0F;
  float x_buffer[kPiece];
  float g_buffer[kPiece];
  float w_buffer[kPiece];
  if (dw != nullptr) {
    std::memset(dw, 0, static_cast<size_t>(x.columns) * sizeof(float));
  }
  for (int64_t row = first; row < last; ++row) {
    const float r = job.inverse[row];
    float dot = 0;
    in_pieces(x.columns, [&](int64_t begin, int64_t n) {
      dot += weighted_dot(as_floats(x.dtype, at(x, row, begin), n, x_buffer),
                          as_floats(g.dtype, at(g, row, begin), n, g_buffer),
                          as_floats(w.dtype, at(w, 0, begin), n, w_buffer), plus, n);
    });
    const float along = dot * r * r / static_cast<float>(x.columns);
    in_pieces(x.columns, [&](int64_t begin, int64_t n) {
      const float *xs = as_floats(x.dtype, at(x, row, begin), n, x_buffer);
      const float *gs = as_floats(g.dtype, at(g, row, begin), n, g_buffer);
      const float *ws = as_floats(w.dtype, at(w, 0, begin), n, w_buffer);
      if (dw != nullptr) {
        float *sums = dw + begin;
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) sums[j] += gs[j] * (xs[j] * r);
      }
      Written dx(*job.dx, row, begin);
      float *to = dx.values();
#pragma omp simd
      for (int64_t j = 0; j < n; ++j) to[j] = r * (gs[j] * (ws[j] + plus) - xs[j] * along);
      dx.leave(n);
    });
  }
}

// ---- Rotation

// n values of each half of a head. Forward they meet the sines of their own place, backward those
// of the place that they went to.
void turn(const hf_matrix &x, float *one, float *two, const float *c_one, const float *c_two,
          const float *s_one, const float *s_two, int64_t n) {
  if (x.dtype == HF_FLOAT32) {
#pragma omp simd
    for (int64_t j = 0; j < n; ++j) {
      const float a = one[j];
      const float b = two[j];
      one[j] = a * c_one[j] + b * s_one[j];
      two[j] = b * c_two[j] + a * s_two[j];
    }
    return;
  }
  float crossed_one[kPiece];
  float crossed_two[kPiece];
#pragma omp simd
  for (int64_t j = 0; j < n; ++j) {
    crossed_one[j] = two[j] * s_one[j];
    crossed_two[j] = one[j] * s_two[j];
    one[j] *= c_one[j];
    two[j] *= c_two[j];
  }
  round_to(x.dtype, n, one);
  round_to(x.dtype, n, two);
  round_to(x.dtype, n, crossed_one);
  round_to(x.dtype, n, crossed_two);
#pragma omp simd
  for (int64_t j = 0; j < n; ++j) {
    one[j] += crossed_one[j];
    two[j] += crossed_two[j];
  }
}

void rotate(const RotateJob &job, int64_t first, int64_t last) {
  const hf_matrix &x = *job.x;
  const hf_matrix &c = *job.c;
  const hf_matrix &s = *job.s;
  const int64_t half = c.columns / 2;
  float tables[4][kPiece];
  for (int64_t row = first; row < last; ++row) {
    const int64_t t = row % c.rows;
    in_pieces(half, [&](int64_t begin, int64_t n) {
      const float *c_one = as_floats(c.dtype, at(c, t, begin), n, tables[0]);
      const float *c_two = as_floats(c.dtype, at(c, t, half + begin), n, tables[1]);
      const float *s_one = as_floats(s.dtype, at(s, t, begin), n, tables[2]);
      const float *s_two = as_floats(s.dtype, at(s, t, half + begin), n, tables[3]);
      for (int64_t head = 0; head < x.columns; head += job.head) {
        Written one(x, row, head + begin);
        Written two(x, row, head + half + begin);
        if (x.dtype != HF_FLOAT32) {
          widen(x.dtype, at(x, row, head + begin), n, one.values());
          widen(x.dtype, at(x, row, head + half + begin), n, two.values());
        }
        turn(x, one.values(), two.values(), c_one, c_two, job.backward ? s_two : s_one,
             job.backward ? s_one : s_two, n);
        one.leave(n);
        two.leave(n);
      }
    });
  }
}

// ---- Gated activation

struct Activated {
  Vec value;
  Vec slope;
};

inline Activated silu(Vec x) {
  const Vec one = splat(1.0F);
  const Vec e = exp_nonpositive(x < Vec{} ? x : -x);  // never overflows
  const Vec sigmoid = (x < Vec{} ? e : one) / (one + e);
  return {x * sigmoid, sigmoid * (one + x * (one - sigmoid))};
}

inline Activated gelu_tanh(Vec x) {
  const Vec one = splat(1.0F);
  const Vec beta = splat(0.7978845608F);
  const Vec kappa = splat(0.044715F);
  const Vec square = x * x;
  const Vec t = tanh(beta * (x + kappa * (square * x)));
  const Vec bend = beta * (one + splat(3.0F) * kappa * square);
  const Vec half = splat(0.5F);
  return {half * x * (one + t), half * (one + t) + half * x * ((one - t * t) * bend)};
}

inline Activated activated(int32_t activation, Vec x) {
  return activation == HF_SILU ? silu(x) : gelu_tanh(x);
}

void gate(const GateJob &job, int64_t first, int64_t last) {
  const int32_t dtype = job.a->dtype;
  float a_buffer[kPiece];
  float b_buffer[kPiece];
  for (int64_t row = first; row < last; ++row) {
    in_pieces(job.a->columns, [&](int64_t begin, int64_t n) {
      const float *a = as_floats(dtype, at(*job.a, row, begin), n, a_buffer);
      const float *b = as_floats(dtype, at(*job.b, row, begin), n, b_buffer);
      Written y(*job.y, row, begin);
      float *to = y.values();
      if (dtype == HF_FLOAT32) {
        int64_t i = 0;
        for (; i + kLanes <= n; i += kLanes) {
          store(to + i, activated(job.activation, load(a + i)).value * load(b + i));
        }
        if (i < n) {
          const Vec value = activated(job.activation, load_part(a + i, n - i, 0.0F)).value;
          store_part(to + i, n - i, value * load_part(b + i, n - i, 0.0F));
        }
        return;
      }
      // The buffer has room for whole vectors.
      for (int64_t i = 0; i < n; i += kLanes) {
        store(to + i, activated(job.activation, load(a + i)).value);
      }
      round_to(dtype, n, to);
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) to[i] *= b[i];
      y.leave(n);
    });
  }
}

inline void gate_gradients(int32_t activation, Vec a, Vec b, Vec g, Vec &da, Vec &db) {
  const Activated act = activated(activation, a);
  da = g * b * act.slope;
  db = g * act.value;
}

void gate_backward(const GateJob &job, int64_t first, int64_t last) {
  const int32_t dtype = job.a->dtype;
  float a_buffer[kPiece];
  float b_buffer[kPiece];
  float g_buffer[kPiece];
  for (int64_t row = first; row < last; ++row) {
    in_pieces(job.a->columns, [&](int64_t begin, int64_t n) {
      const float *a = as_floats(dtype, at(*job.a, row, begin), n, a_buffer);
      const float *b = as_floats(dtype, at(*job.b, row, begin), n, b_buffer);
      const float *g = as_floats(dtype, at(*job.y, row, begin), n, g_buffer);
      Written da(*job.da, row, begin);
      Written db(*job.db, row, begin);
      Vec one;
      Vec two;
      int64_t i = 0;
      for (; i + kLanes <= n; i += kLanes) {
        gate_gradients(job.activation, load(a + i), load(b + i), load(g + i), one, two);
        store(da.values() + i, one);
        store(db.values() + i, two);
      }
      if (i < n) {
        gate_gradients(job.activation, load_part(a + i, n - i, 0.0F), load_part(b + i, n - i, 0.0F),
                       load_part(g + i, n - i, 0.0F), one, two);
        store_part(da.values() + i, n - i, one);
        store_part(db.values() + i, n - i, two);
      }
      da.leave(n);
      db.leave(n);
    });
  }
}

}  // namespace
