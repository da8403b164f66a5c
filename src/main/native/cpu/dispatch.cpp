#include "dispatch.hpp"

#include <cstdlib>
#include <cstring>

namespace holdfast {
namespace {

const KernelTable &choose() {
  const char *asked = std::getenv("HOLDFAST_ISA");
  const auto wanted = [asked](const KernelTable &table) {
    return asked == nullptr || std::strcmp(asked, table.name) == 0;
  };
#if defined(HF_X86)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    if (__builtin_cpu_supports("avx512bf16") && wanted(kAvx512Bf16)) {
      return kAvx512Bf16;
    }
    if (wanted(kAvx512)) {
      return kAvx512;
    }
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && wanted(kAvx2)) {
    return kAvx2;
  }
#else
  static_cast<void>(wanted);
#endif
  return kBaseline;
}

}  // namespace

const KernelTable &kernels() {
  static const KernelTable &table = choose();
  return table;
}

}  // namespace holdfast
