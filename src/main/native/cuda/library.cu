// The CUDA library itself: version, errors, the device, memory.
#include "device.cuh"

using namespace holdfast;

namespace {

__global__ void probe_kernel() {}

}  // namespace

extern "C" {

int32_t hf_abi_version(void) { return HF_ABI_VERSION; }

const char *hf_last_error(void) { return error_buffer(); }

int32_t hf_available(void) {
  int devices = 0;
  if (int32_t status = device_status(cudaGetDeviceCount(&devices), "no CUDA device")) return status;
  if (devices == 0) return fail(HF_DEVICE, "no CUDA device");
  // Fails where this build has no code for the device.
  cudaFuncAttributes attributes;
  return device_status(cudaFuncGetAttributes(&attributes, probe_kernel),
                       "this build has no kernels for the device");
}

const char *hf_description(void) {
  static thread_local char text[320];
  int device = 0;
  cudaDeviceProp properties;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaGetDeviceProperties(&properties, device) != cudaSuccess) {
    return "no CUDA device";
  }
  std::snprintf(text, sizeof text, "%s, sm_%d%d, %.1f GiB", properties.name, properties.major,
                properties.minor,
                static_cast<double>(properties.totalGlobalMem) / (1024.0 * 1024.0 * 1024.0));
  return text;
}

int32_t hf_set_num_threads(int32_t threads) {
  return threads < 0 ? fail(HF_INVALID, "threads: %d is negative", threads) : HF_OK;
}

int32_t hf_allocate(int64_t bytes, void **out) {
  if (bytes < 0 || out == nullptr) {
    return fail(HF_INVALID, "cannot allocate %lld bytes", static_cast<long long>(bytes));
  }
  return device_status(cudaMalloc(out, static_cast<size_t>(bytes > 0 ? bytes : 1)),
                       "device memory");
}

int32_t hf_release(void *memory) { return device_status(cudaFree(memory), "device memory"); }

int32_t hf_copy(void *to, const void *from, int64_t bytes, void *stream) {
  if (bytes < 0 || ((to == nullptr || from == nullptr) && bytes > 0)) {
    return fail(HF_INVALID, "cannot copy %lld bytes", static_cast<long long>(bytes));
  }
  const auto queue = static_cast<cudaStream_t>(stream);
  if (int32_t status = device_status(
          cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault, queue),
          "copy")) {
    return status;
  }
  return device_status(cudaStreamSynchronize(queue), "copy");
}
}
