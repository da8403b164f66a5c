// Vectors of floats, as wide as the instruction set this file is compiled for (HF_LANES), in the
// vector extension of GCC and Clang: one source for SSE2, AVX2, AVX-512 and NEON.
//
// Everything here has internal linkage: the same source is compiled for several instruction sets,
// and the linker must never choose one of them for all.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX__)
#include <immintrin.h>
#endif

// What the loops over logits are made of: a call would reload its constants for every vector.
#define HF_INLINED __attribute__((always_inline))
#define HF_INLINE HF_INLINED inline

namespace {

typedef float Vec __attribute__((vector_size(4 * HF_LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * HF_LANES)));

constexpr int64_t kLanes = HF_LANES;

inline Bits bits_of(Vec v) {
  Bits bits;
  std::memcpy(&bits, &v, sizeof bits);
  return bits;
}

inline Vec vector_of(Bits bits) {
  Vec v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

inline Vec splat(float x) { return x - Vec{}; }

inline Vec load(const float *from) {
  Vec v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

inline void store(float *to, Vec v) { std::memcpy(to, &v, sizeof v); }

// Asks for the memory so many bytes on, wherever that is: it may be none.
inline void prefetch(const void *from, int64_t bytes) {
  __builtin_prefetch(static_cast<const char *>(from) + bytes);
}

// Where a lane is NaN in b it keeps a: maxima pass over NaN, sums then meet it.
inline Vec max(Vec a, Vec b) {
#if defined(__AVX512F__)
  return _mm512_maskz_max_ps(0xFFFF, b, a);  // without a mask GCC 12 warns of its own header
#elif defined(__AVX__)
  return _mm256_max_ps(b, a);
#else
  return b > a ? b : a;
#endif
}

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

// e^x for x <= 0, within 1.1 units in the last place; 0 below -87.68, NaN for NaN.
//
// x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 in two parts, and e^r as a minimax polynomial by
// Estrin's scheme: the loops over rows of logits wait for little else, and more of a short chain
// overlaps.
HF_INLINE Vec exp_nonpositive(Vec x) {
  const Vec clamped = max(x, splat(-88.0F));  // NaN stays
  // Adding 1.5 * 2^23 rounds to an integer. The low bits of the sum are n + 127, the exponent of
  // 2^n as a float; at -88 they are 0, and so is the result.
  const Vec magic = splat(12582912.0F + 127.0F);
  const Vec shifted = clamped * splat(1.44269504F) + magic;
  const Vec n = shifted - magic;
  const Vec r = (clamped - n * splat(0.693359375F)) + n * splat(2.12194440e-4F);
  const Vec square = r * r;
  const Vec low = splat(4.9999994040e-1F) + splat(1.6666521132e-1F) * r;
  const Vec high = splat(4.1668388993e-2F) + splat(8.3687454462e-3F) * r;
  const Vec p = (splat(1.3814540580e-3F) * square + high) * square + low;
  const Vec power = vector_of(bits_of(shifted) << 23);
  return (p * square + r) * power + power;
}

// tanh x within 2 units in the last place, NaN for NaN: Cephes' tanhf, a polynomial near 0, where
// the quotient of exponentials would cancel.
HF_INLINE Vec tanh(Vec x) {
  const Bits sign_bit = (Bits{} + 1U) << 31;
  const Bits sign = bits_of(x) & sign_bit;
  const Vec magnitude = vector_of(bits_of(x) & ~sign_bit);
  const Vec t = exp_nonpositive(splat(-2.0F) * magnitude);
  const Vec far = vector_of(bits_of((splat(1.0F) - t) / (splat(1.0F) + t)) | sign);
  const Vec square = x * x;
  Vec p = splat(-5.70498872745e-3F);
  p = p * square + splat(2.06390887954e-2F);
  p = p * square - splat(5.37397155531e-2F);
  p = p * square + splat(1.33314422036e-1F);
  p = p * square - splat(3.33332819422e-1F);
  return magnitude < splat(0.625F) ? p * (square * x) + x : far;
}

}  // namespace
