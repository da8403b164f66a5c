// Other dtypes to float32 and back. The kernels know float32 only: what is narrower is widened into
// a chunk that stays in the first-level cache, and rounded on its way back.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "holdfast.h"
#include "simd.hpp"

namespace {

inline int64_t bytes_of(int32_t dtype) { return dtype == HF_FLOAT32 ? 4 : 2; }

inline char *at(const hf_matrix &a, int64_t row, int64_t column) {
  return static_cast<char *>(a.data) + (row * a.stride + column) * bytes_of(a.dtype);
}

inline float from_bits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

inline uint32_t to_bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

inline float widen_bfloat16(uint16_t x) { return from_bits(static_cast<uint32_t>(x) << 16); }

// Adding just under half of the last place, and its bit, carries where rounding goes up; a NaN is
// made quiet, lest the carry make it an infinity.
inline uint16_t narrow_bfloat16(float x) {
  const uint32_t bits = to_bits(x);
  const uint32_t rounded = bits + 0x7FFFU + (bits >> 16 & 1U);
  return static_cast<uint16_t>((x == x ? rounded : bits | 0x400000U) >> 16);
}

// The exponent is moved by a product, which also normalises subnormal numbers.
inline float widen_float16(uint16_t x) {
  const uint32_t magnitude = x & 0x7FFFU;
  const float value = from_bits(magnitude << 13) * 0x1p112F;
  const uint32_t special = magnitude >= 0x7C00U ? 0x7F800000U : 0U;
  return from_bits(to_bits(value) | special | static_cast<uint32_t>(x & 0x8000U) << 16);
}

// Subnormal results are rounded by adding a number whose last place is theirs, others as in
// bfloat16; from 65520 on the result is infinite.
inline uint16_t narrow_float16(float x) {
  const uint32_t sign = to_bits(x) >> 16 & 0x8000U;
  const uint32_t bits = to_bits(x) & 0x7FFFFFFFU;
  const uint32_t tiny = to_bits(from_bits(bits) + 0.5F) - to_bits(0.5F);
  const uint32_t normal = (bits - (112U << 23) + 0xFFFU + (bits >> 13 & 1U)) >> 13;
  uint32_t magnitude = bits < 0x38800000U ? tiny : normal;
  magnitude = bits >= 0x477FF000U ? 0x7C00U : magnitude;
  magnitude = bits > 0x7F800000U ? 0x7E00U | (bits >> 13 & 0x3FFU) : magnitude;
  return static_cast<uint16_t>(magnitude | sign);
}

void widen_float16s(const uint16_t *from, int64_t n, float *to) {
  int64_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= n; i += 8) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i *>(from + i));
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(halves));
  }
#endif
  for (; i < n; ++i) {
    to[i] = widen_float16(from[i]);
  }
}

void narrow_float16s(const float *from, int64_t n, uint16_t *to) {
  int64_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= n; i += 8) {
    const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to + i), halves);
  }
#endif
  for (; i < n; ++i) {
    to[i] = narrow_float16(from[i]);
  }
}

void narrow_bfloat16s(const float *from, int64_t n, uint16_t *to) {
  int64_t i = 0;
#if defined(__AVX512BF16__)
  for (; i + 16 <= n; i += 16) {
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(from + i));
    std::memcpy(to + i, &rounded, sizeof rounded);
  }
#endif
#pragma omp simd
  for (int64_t j = i; j < n; ++j) {
    to[j] = narrow_bfloat16(from[j]);
  }
}

void widen(int32_t dtype, const void *from, int64_t n, float *to) {
  const auto *halves = static_cast<const uint16_t *>(from);
  if (dtype == HF_FLOAT32) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
  } else if (dtype == HF_FLOAT16) {
    widen_float16s(halves, n, to);
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      to[i] = widen_bfloat16(halves[i]);
    }
  }
}

void narrow(int32_t dtype, const float *from, int64_t n, void *to) {
  if (dtype == HF_FLOAT32) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
  } else if (dtype == HF_FLOAT16) {
    narrow_float16s(from, n, static_cast<uint16_t *>(to));
  } else {
    narrow_bfloat16s(from, n, static_cast<uint16_t *>(to));
  }
}

// The values themselves where they are float32, else widened into the buffer.
inline const float *as_floats(int32_t dtype, const void *from, int64_t n, float *buffer) {
  if (dtype == HF_FLOAT32) {
    return static_cast<const float *>(from);
  }
  widen(dtype, from, n, buffer);
  return buffer;
}

// What is left of the values where the dtype is narrower.
inline void round_to(int32_t dtype, int64_t n, float *values) {
  if (dtype == HF_FLOAT32) {
    return;
  }
  constexpr int64_t kSpan = 256;
  uint16_t halves[kSpan];
  for (int64_t begin = 0; begin < n; begin += kSpan) {
    const int64_t span = n - begin < kSpan ? n - begin : kSpan;
    narrow(dtype, values + begin, span, halves);
    widen(dtype, halves, span, values + begin);
  }
}

}  // namespace
