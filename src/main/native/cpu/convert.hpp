// Other dtypes to float32 and back. The kernels know float32 only: what is narrower is widened in
// registers, or into a chunk that stays in the first-level cache, and rounded on its way back.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
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

// The dtypes as vectors of floats: whole vectors from memory and back, and what is left of one that
// was stored.
struct Float32 {
  using Raw = float;
  static Vec load(const Raw *from) { return ::load(from); }
  static void store(Raw *to, Vec v) { ::store(to, v); }
  static Vec rounded(Vec v) { return v; }
  static float widen(Raw x) { return x; }
  static Raw narrow(float x) { return x; }
};

#if !defined(__AVX2__)
typedef uint16_t Halves __attribute__((vector_size(2 * HF_LANES)));
#endif

struct BFloat16 {
  using Raw = uint16_t;
  static float widen(Raw x) { return widen_bfloat16(x); }
  static Raw narrow(float x) { return narrow_bfloat16(x); }
  static Vec load(const Raw *from) { return vector_of(widened(from) << 16); }
  static void store(Raw *to, Vec v) {
#if defined(__AVX512BF16__)
    const __m256bh halves = _mm512_cvtneps_pbh(v);
    std::memcpy(to, &halves, sizeof halves);
#else
    narrowed(rounded_bits(v) >> 16, to);
#endif
  }
  static Vec rounded(Vec v) { return vector_of(rounded_bits(v) & 0xFFFF0000U); }

 private:
  static Bits rounded_bits(Vec v) {
    const Bits bits = bits_of(v);
    return v == v ? bits + 0x7FFFU + (bits >> 16 & 1U) : bits | 0x400000U;
  }
  // GCC makes detours of the conversions of vectors.
  static Bits widened(const Raw *from) {
#if defined(__AVX512F__)
    return (Bits)_mm512_maskz_cvtepu16_epi32(
        0xFFFF, _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
#elif defined(__AVX2__)
    return (Bits)_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
#else
    Halves halves;
    std::memcpy(&halves, from, sizeof halves);
    return __builtin_convertvector(halves, Bits);
#endif
  }
  static void narrowed(Bits bits, Raw *to) {
#if defined(__AVX512F__)
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(to),
                        _mm512_maskz_cvtepi32_epi16(0xFFFF, (__m512i)bits));
#elif defined(__AVX2__)
    const __m256i pairs = _mm256_packus_epi32((__m256i)bits, (__m256i)bits);
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to),
                     _mm256_castsi256_si128(_mm256_permute4x64_epi64(pairs, 0x08)));
#else
    const Halves halves = __builtin_convertvector(bits, Halves);
    std::memcpy(to, &halves, sizeof halves);
#endif
  }
};

struct Float16 {
  using Raw = uint16_t;
  static float widen(Raw x) { return widen_float16(x); }
  static Raw narrow(float x) { return narrow_float16(x); }
#if HF_LANES == 16 && defined(__AVX512F__)
  static Vec load(const Raw *from) {
    return _mm512_maskz_cvtph_ps(0xFFFF,
                                 _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
  }
  static void store(Raw *to, Vec v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(to),
                        _mm512_maskz_cvtps_ph(0xFFFF, v, _MM_FROUND_TO_NEAREST_INT));
  }
#elif HF_LANES == 8 && defined(__F16C__)
  static Vec load(const Raw *from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
  }
  static void store(Raw *to, Vec v) {
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to),
                     _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
#else
  static Vec load(const Raw *from) {
    float lanes[HF_LANES];
    for (int64_t i = 0; i < kLanes; ++i) {
      lanes[i] = widen(from[i]);
    }
    return ::load(lanes);
  }
  static void store(Raw *to, Vec v) {
    float lanes[HF_LANES];
    ::store(lanes, v);
    for (int64_t i = 0; i < kLanes; ++i) {
      to[i] = narrow(lanes[i]);
    }
  }
#endif
  static Vec rounded(Vec v) {
    Raw halves[HF_LANES];
    store(halves, v);
    return load(halves);
  }
};

// The first `count` lanes, the others `rest`.
template <typename T>
__attribute__((noinline)) Vec load_part(const typename T::Raw *from, int64_t count, float rest) {
  float lanes[HF_LANES];
  for (int64_t i = 0; i < kLanes; ++i) {
    lanes[i] = i < count ? T::widen(from[i]) : rest;
  }
  return load(lanes);
}

// A whole vector, or what is left of one.
template <typename T>
HF_INLINE Vec load_some(const typename T::Raw *from, int64_t count, float rest) {
  return count >= kLanes ? T::load(from) : load_part<T>(from, count, rest);
}

template <typename T>
__attribute__((noinline)) void store_part(typename T::Raw *to, int64_t count, Vec v) {
  float lanes[HF_LANES];
  store(lanes, v);
  for (int64_t i = 0; i < count; ++i) {
    to[i] = T::narrow(lanes[i]);
  }
}

template <typename T>
HF_INLINE void store_some(typename T::Raw *to, int64_t count, Vec v) {
  if (count >= kLanes) {
    T::store(to, v);
  } else {
    store_part<T>(to, count, v);
  }
}

// Calls f(i, count) for the vectors of n values, the last of which may lack some. The whole ones
// have a loop of their own: a call for what is left in it would send every register to memory.
template <typename F>
HF_INLINE void in_vectors(int64_t n, const F &f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    f(i, kLanes);
  }
  if (i < n) {
    f(i, n - i);
  }
}

// Calls f with the struct above that is the dtype's.
template <typename F>
inline void in_dtype(int32_t dtype, const F &f) {
  if (dtype == HF_FLOAT32) {
    f(Float32());
  } else if (dtype == HF_FLOAT16) {
    f(Float16());
  } else {
    f(BFloat16());
  }
}

void widen(int32_t dtype, const void *from, int64_t n, float *to) {
  in_dtype(dtype, [=](auto type) {
    using T = decltype(type);
    const auto *values = static_cast<const typename T::Raw *>(from);
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      store(to + i, T::load(values + i));
    }
    for (; i < n; ++i) {
      to[i] = T::widen(values[i]);
    }
  });
}

void narrow(int32_t dtype, const float *from, int64_t n, void *to) {
  in_dtype(dtype, [=](auto type) {
    using T = decltype(type);
    auto *values = static_cast<typename T::Raw *>(to);
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      T::store(values + i, load(from + i));
    }
    for (; i < n; ++i) {
      values[i] = T::narrow(from[i]);
    }
  });
}

// The values themselves where they are float32, else widened into the buffer.
inline const float *as_floats(int32_t dtype, const void *from, int64_t n, float *buffer) {
  if (dtype == HF_FLOAT32) {
    return static_cast<const float *>(from);
  }
  widen(dtype, from, n, buffer);
  return buffer;
}

}  // namespace
