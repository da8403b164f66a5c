// The library itself: version, errors, threads, memory.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "arguments.hpp"
#include "dispatch.hpp"
#include "parallel.hpp"

namespace {

std::atomic<int> chosen_threads{0};

}  // namespace

namespace holdfast {

int thread_limit() {
#if defined(_OPENMP)
  const int chosen = chosen_threads.load(std::memory_order_relaxed);
  return chosen > 0 ? chosen : omp_get_max_threads();
#else
  return 1;
#endif
}

}  // namespace holdfast

extern "C" {

int32_t hf_abi_version(void) { return HF_ABI_VERSION; }

const char *hf_last_error(void) { return holdfast::error_buffer(); }

int32_t hf_available(void) { return HF_OK; }

const char *hf_description(void) {
  static thread_local char text[64];
  const int threads = holdfast::thread_limit();
  std::snprintf(text, sizeof text, "%s, %d thread%s", holdfast::kernels().name, threads,
                threads == 1 ? "" : "s");
  return text;
}

int32_t hf_set_num_threads(int32_t threads) {
  if (threads < 0) {
    return holdfast::fail(HF_INVALID, "threads: %d is negative", threads);
  }
  chosen_threads.store(threads, std::memory_order_relaxed);
  return HF_OK;
}

int32_t hf_allocate(int64_t bytes, void **out) {
  if (bytes < 0 || bytes > INT64_MAX - 256 || out == nullptr) {
    return holdfast::fail(HF_INVALID, "cannot allocate %lld bytes", static_cast<long long>(bytes));
  }
  const auto size = (static_cast<size_t>(bytes) + 255) / 256 * 256;
  *out = std::aligned_alloc(256, size > 0 ? size : 256);
  return *out != nullptr
             ? static_cast<int32_t>(HF_OK)
             : holdfast::fail(HF_DEVICE, "no %lld bytes of memory", static_cast<long long>(bytes));
}

int32_t hf_release(void *memory) {
  std::free(memory);
  return HF_OK;
}

int32_t hf_copy(void *to, const void *from, int64_t bytes, void *) {
  if (bytes < 0 || ((to == nullptr || from == nullptr) && bytes > 0)) {
    return holdfast::fail(HF_INVALID, "cannot copy %lld bytes", static_cast<long long>(bytes));
  }
  if (bytes > 0) {
    std::memmove(to, from, static_cast<size_t>(bytes));
  }
  return HF_OK;
}
}
