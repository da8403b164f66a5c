// The 16-bit dtypes by their definition, in arithmetic rather than in bits: the oracle of the
// kernels' conversions, and those of the emulation.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "holdfast.h"

struct Format {
  int bits;      // of the fraction
  int smallest;  // exponent of the smallest normal number
  double largest;
};

inline Format format_of(int32_t dtype) {
  return dtype == HF_BFLOAT16 ? Format{7, -126, 0x1.FEp127} : Format{10, -14, 65504};
}

inline size_t element_bytes(int32_t dtype) { return dtype == HF_FLOAT32 ? 4 : 2; }

// Half a unit in the last place of 1.
inline double half_place(int32_t dtype) {
  return dtype == HF_FLOAT32 ? 0 : std::ldexp(1.0, -format_of(dtype).bits - 1);
}

inline double decode_half(int32_t dtype, uint16_t code) {
  const Format f = format_of(dtype);
  const int exponents = 1 << (15 - f.bits);
  const int exponent = (code & 0x7FFF) >> f.bits;
  const int fraction = code & ((1 << f.bits) - 1);
  double magnitude = std::ldexp(fraction + (exponent > 0 ? 1 << f.bits : 0),
                                (exponent > 0 ? exponent - 1 : 0) + f.smallest - f.bits);
  if (exponent == exponents - 1) {
    magnitude = fraction == 0 ? INFINITY : NAN;
  }
  return code & 0x8000 ? -magnitude : magnitude;
}

// The same, looked up.
inline double decode_fast(int32_t dtype, uint16_t code) {
  static const auto tables = [] {
    std::array<std::vector<double>, 2> all;
    for (int i = 0; i < 1 << 16; i++) {
      all[0].push_back(decode_half(HF_BFLOAT16, static_cast<uint16_t>(i)));
      all[1].push_back(decode_half(HF_FLOAT16, static_cast<uint16_t>(i)));
    }
    return all;
  }();
  return tables[dtype == HF_FLOAT16][code];
}

// To nearest, ties to even.
inline uint16_t encode_half(int32_t dtype, double x) {
  const Format f = format_of(dtype);
  const int sign = std::signbit(x) ? 0x8000 : 0;
  const int infinity = ((1 << (15 - f.bits)) - 1) << f.bits;
  double magnitude = std::fabs(x);
  if (std::isnan(x)) {
    return static_cast<uint16_t>(sign | infinity | 1 << (f.bits - 1));
  }
  int exponent = f.smallest;
  if (magnitude > 0 && !std::isinf(x) && std::ilogb(magnitude) > exponent) {
    exponent = std::ilogb(magnitude);
  }
  // The fraction and its carry, if any, land where the exponent is added.
  magnitude = std::nearbyint(std::ldexp(magnitude, f.bits - exponent));
  if (std::ldexp(magnitude, exponent - f.bits) > f.largest) {
    return static_cast<uint16_t>(sign | infinity);
  }
  const int above = exponent - f.smallest;
  return static_cast<uint16_t>(sign | ((above << f.bits) + static_cast<int>(magnitude)));
}

inline double decode(int32_t dtype, const void *from) {
  if (dtype == HF_FLOAT32) {
    float x;
    std::memcpy(&x, from, sizeof x);
    return static_cast<double>(x);
  }
  uint16_t code;
  std::memcpy(&code, from, sizeof code);
  return decode_fast(dtype, code);
}

inline void encode(int32_t dtype, double x, void *to) {
  if (dtype == HF_FLOAT32) {
    const auto single = static_cast<float>(x);
    std::memcpy(to, &single, sizeof single);
  } else {
    const uint16_t code = encode_half(dtype, x);
    std::memcpy(to, &code, sizeof code);
  }
}
