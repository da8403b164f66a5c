// The emulation itself: kernels that are right pass on it, and the same kernels broken are caught,
// by a wrong result or by the end of their process.
#include <sys/wait.h>
#include <unistd.h>

#include "check.hpp"
#include "cuda_runtime.h"

namespace {

constexpr unsigned kThreads = 96;
constexpr unsigned kBlocks = 3;
constexpr unsigned kCount = kThreads * kBlocks;

enum class Fault { kNone, kIndex, kBarrier, kSecondBarrier, kBranch };

// out[i] = 1 + in[i'], i' being i mirrored in its block, twice over by way of shared memory.
__global__ void mirror_kernel(const float *in, float *out, Fault fault) {
  __shared__ float values[kThreads];
  const unsigned mirrored = kThreads - 1 - threadIdx.x;
  const unsigned first = blockIdx.x * kThreads;
  float sum = 0;
  for (int turn = 0; turn < 2; turn++) {
    const unsigned shift = fault == Fault::kIndex ? 1 : 0;
    values[threadIdx.x] = in[first + threadIdx.x + shift] + static_cast<float>(turn);
    const bool skipped = fault == Fault::kBranch && threadIdx.x == 5;
    if (fault != Fault::kBarrier && !skipped) __syncthreads();
    sum += values[mirrored];
    if (fault != Fault::kSecondBarrier) __syncthreads();
  }
  out[first + threadIdx.x] = sum;
}

// Every lane has the sum of its warp, or of half of it.
__global__ void warp_kernel(const float *in, float *out, Fault fault) {
  const unsigned i = blockIdx.x * kThreads + threadIdx.x;
  float sum = in[i];
  for (int lanes = fault == Fault::kIndex ? 8 : 16; lanes > 0; lanes /= 2) {
    sum += __shfl_xor_sync(0xffffffffU, sum, lanes);
  }
  out[i] = sum;
}

using Kernel = void (*)(const float *, float *, Fault);

// Runs in a process of its own: whether it ended well with the expected result.
template <typename Expected>
bool passes(Kernel kernel, Fault fault, const Expected &expected) {
  const pid_t child = fork();
  if (child == 0) {
    std::freopen("/dev/null", "w", stderr);
    std::vector<float> values(kCount);
    for (size_t i = 0; i < values.size(); i++) values[i] = static_cast<float>(i * i % 101);
    const Guarded in = guarded(values);
    const Guarded out(kCount * sizeof(float));
    cudaLaunchConfig_t config = {};
    config.gridDim = kBlocks;
    config.blockDim = kThreads;
    cudaLaunchKernelEx(&config, kernel, in.as<float>(), out.as<float>(), fault);
    bool same = true;
    for (unsigned i = 0; i < kCount; i++) {
      same = same && std::fabs(out.as<float>()[i] - expected(values, i)) < 1e-3F;
    }
    _exit(same ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

float mirror(const std::vector<float> &values, unsigned i) {
  const unsigned first = i / kThreads * kThreads;
  return 2 * values[first + kThreads - 1 - (i - first)] + 1;
}

float warp_sum(const std::vector<float> &values, unsigned i) {
  float sum = 0;
  for (unsigned lane = 0; lane < 32; lane++) sum += values[i / 32 * 32 + lane];
  return sum;
}

}  // namespace

int main() {
  expect(passes(mirror_kernel, Fault::kNone, mirror), "a kernel that is right");
  expect(!passes(mirror_kernel, Fault::kIndex, mirror), "an index out by one is caught");
  expect(!passes(mirror_kernel, Fault::kBarrier, mirror), "a missing barrier is caught");
  expect(!passes(mirror_kernel, Fault::kSecondBarrier, mirror),
         "a missing barrier before memory is used again is caught");
  expect(!passes(mirror_kernel, Fault::kBranch, mirror), "a barrier in a branch is caught");
  expect(passes(warp_kernel, Fault::kNone, warp_sum), "shuffles that are right");
  expect(!passes(warp_kernel, Fault::kIndex, warp_sum), "a missing shuffle is caught");
  std::printf(failures == 0 ? "passed\n" : "%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
