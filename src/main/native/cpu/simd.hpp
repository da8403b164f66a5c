// Vectors of floats, as wide as the instruction set this file is compiled for (HF_LANES), in the
// vector extension of GCC and Clang: one source for SSE2, AVX2, AVX-512 and NEON.
//
// Everything here has internal linkage: the same source is compiled for several instruction sets,
// and the linker must never choose one of them for all.
#pragma once

#include <cstdint>
#include <cstring>

namespace {

typedef float Vec __attribute__((vector_size(4 * HF_LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * HF_LANES)));

constexpr int64_t kLanes = HF_LANES;

inline Vec splat(float x) { return x - Vec{}; }

inline Vec load(const float *from) {
  Vec v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

inline void store(float *to, Vec v) { std::memcpy(to, &v, sizeof v); }

// The first `count` lanes, the others `rest`.
inline Vec load_part(const float *from, int64_t count, float rest) {
  float lanes[HF_LANES];
  for (int64_t i = 0; i < kLanes; ++i) {
    lanes[i] = i < count ? from[i] : rest;
  }
  return load(lanes);
}

inline void store_part(float *to, int64_t count, Vec v) {
  float lanes[HF_LANES];
  store(lanes, v);
  for (int64_t i = 0; i < count; ++i) {
    to[i] = lanes[i];
  }
}

// Where a lane is NaN in b it keeps a: maxima pass over NaN, sums then meet it.
inline Vec max(Vec a, Vec b) { return b > a ? b : a; }

inline float max_lane(Vec v) {
  float lanes[HF_LANES];
  store(lanes, v);
  float largest = lanes[0];
  for (int64_t i = 1; i < kLanes; ++i) {
    largest = lanes[i] > largest ? lanes[i] : largest;
  }
  return largest;
}

// Pairwise, so that the order is the same on every path.
inline float sum(Vec v) {
  float lanes[HF_LANES];
  store(lanes, v);
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) {
      lanes[i] += lanes[i + half];
    }
  }
  return lanes[0];
}

// e^x for x <= 0, within 1.2 units in the last place; 0 below -87.33 (2^-126), NaN for NaN.
// Cephes' expf: x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 in two parts, e^r as a polynomial.
inline Vec exp_nonpositive(Vec x) {
  const Vec lowest = splat(-87.33654F);
  const Vec clamped = x < lowest ? lowest : x;  // NaN stays
  const Vec magic = splat(12582912.0F);         // 1.5 * 2^23: adding it rounds to an integer
  const Vec shifted = clamped * splat(1.44269504F) + magic;
  const Vec n = shifted - magic;
  const Vec r = (clamped - n * splat(0.693359375F)) + n * splat(2.12194440e-4F);
  Vec p = splat(1.9875691500e-4F);
  p = p * r + splat(1.3981999507e-3F);
  p = p * r + splat(8.3334519073e-3F);
  p = p * r + splat(4.1665795894e-2F);
  p = p * r + splat(1.6666665459e-1F);
  p = p * r + splat(5.0000001201e-1F);
  p = p * (r * r) + r + splat(1.0F);
  // 2^n from its bits; the low bits of `shifted` are n.
  Bits bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + (127U << 23);
  Vec power;
  std::memcpy(&power, &bits, sizeof power);
  const Vec y = p * power;
  return x < lowest ? Vec{} : y;
}

// tanh x within 2 units in the last place, NaN for NaN: Cephes' tanhf, a polynomial near 0, where
// the quotient of exponentials would cancel.
inline Vec tanh(Vec x) {
  const Bits sign_bit = (Bits{} + 1U) << 31;
  Bits bits;
  std::memcpy(&bits, &x, sizeof bits);
  const Bits sign = bits & sign_bit;
  bits &= ~sign_bit;
  Vec magnitude;
  std::memcpy(&magnitude, &bits, sizeof bits);
  const Vec t = exp_nonpositive(splat(-2.0F) * magnitude);
  const Vec far = (splat(1.0F) - t) / (splat(1.0F) + t);
  std::memcpy(&bits, &far, sizeof bits);
  bits |= sign;
  Vec signed_far;
  std::memcpy(&signed_far, &bits, sizeof bits);
  const Vec square = x * x;
  Vec p = splat(-5.70498872745e-3F);
  p = p * square + splat(2.06390887954e-2F);
  p = p * square - splat(5.37397155531e-2F);
  p = p * square + splat(1.33314422036e-1F);
  p = p * square - splat(3.33332819422e-1F);
  return magnitude < splat(0.625F) ? p * (square * x) + x : signed_far;
}

}  // namespace
