// Stands in for NVIDIA's header of the same name: what the kernels use of it.
#pragma once

#include "../halves.hpp"

struct __nv_bfloat16 {
  uint16_t bits;
};

inline float __bfloat162float(__nv_bfloat16 x) {
  return static_cast<float>(decode_fast(HF_BFLOAT16, x.bits));
}

inline __nv_bfloat16 __float2bfloat16_rn(float x) {
  return {encode_half(HF_BFLOAT16, static_cast<double>(x))};
}

inline __nv_bfloat16 __ushort_as_bfloat16(uint16_t bits) { return {bits}; }

inline uint16_t __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
