// The library itself: version, errors, threads.
#include <omp.h>

#include "../common.hpp"

extern "C" int32_t hf_abi_version(void) { return HF_ABI_VERSION; }

extern "C" const char *hf_last_error(void) { return holdfast::error_buffer(); }

extern "C" int32_t hf_set_num_threads(int32_t threads) {
  if (threads < 1) return holdfast::fail(HF_INVALID, "threads: must be at least 1");
  omp_set_num_threads(threads);
  return HF_OK;
}
