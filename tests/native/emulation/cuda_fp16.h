// Stands in for NVIDIA's header of the same name: what the kernels use of it.
#pragma once

#include "../halves.hpp"

struct __half {
  uint16_t bits;
};

inline float __half2float(__half x) { return static_cast<float>(decode_fast(HF_FLOAT16, x.bits)); }

inline __half __float2half_rn(float x) { return {encode_half(HF_FLOAT16, static_cast<double>(x))}; }

inline __half __ushort_as_half(uint16_t bits) { return {bits}; }

inline uint16_t __half_as_ushort(__half x) { return x.bits; }
