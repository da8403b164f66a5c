// What lets one source serve every x86-64: hot loops are compiled for several instruction sets, and
// the dynamic linker picks the best at load time.
#pragma once

#include <cstdint>

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && !defined(HF_NO_CLONES)
#define HF_CLONES \
  __attribute__((noinline, target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define HF_CLONES __attribute__((noinline))
#endif

namespace holdfast {

// Work below this many elements is not worth waking threads for.
constexpr int64_t kParallelWork = 1 << 15;

// e^x for x <= 0, to 2 ulp; 0 below the smallest normal result; NaN stays NaN. A polynomial after
// Cody and Waite, written without branches so that the compiler vectorises it.
static inline __attribute__((always_inline)) float exp_negative(float x) {
  const float tiny = -87.33654f;
  float bounded = x < tiny ? tiny : x;
  float n = bounded * 1.44269504f;
  float rounded = (n + 12582912.0f) - 12582912.0f;
  float r = bounded - rounded * 0.693359375f;
  r = r + rounded * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  int32_t exponent = (static_cast<int32_t>(rounded) + 127) << 23;
  float scale;
  __builtin_memcpy(&scale, &exponent, sizeof scale);
  return x < tiny ? 0.0f : p * scale;
}

}  // namespace holdfast
