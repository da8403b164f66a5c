// The gradient norm on the GPU: the squares of many tensors in one launch, their total in another.
#include "many.cuh"

namespace holdfast {
namespace {

struct Span {
  const void *x;
  int64_t rows, columns, stride;  // 1 row where it is dense
  int32_t first_tile;
  uint8_t dtype;
  bool wide;
};

inline __host__ __device__ int32_t first_tile(const Span &span) { return span.first_tile; }

inline void set_first_tile(Span &span, int32_t tile) { span.first_tile = tile; }

struct Nothing {};

__device__ double block_sum(double value) {
  __shared__ double parts[kThreads / kWarp];
  value = warp_sum(value);
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = value;
  __syncthreads();
  double sum = 0;
  for (int w = 0; w < kThreads / kWarp; w++) {
    sum += parts[w];
  }
  __syncthreads();
  return sum;
}

__device__ double squares(const Span &span, int64_t begin, int64_t end) {
  double sum = 0;
  if (span.rows == 1) {
    for (int64_t i = begin + threadIdx.x * kLane; i < end; i += kThreads * kLane) {
      const int count = static_cast<int>(end - i < kLane ? end - i : kLane);
      const Four x = load(span.dtype, span.x, i, count, span.wide);
      for (int w = 0; w < kLane; w++) {
        sum += static_cast<double>(x.at[w]) * static_cast<double>(x.at[w]);
      }
    }
    return sum;
  }
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const int64_t at = i / span.columns * span.stride + i % span.columns;
    const auto x = static_cast<double>(element(span.dtype, span.x, at));
    sum += x * x;
  }
  return sum;
}

// partials[block] is set by the first batch and added to by those after it.
__global__ void __launch_bounds__(kThreads)
    squares_kernel(const __grid_constant__ Batch<Span, Nothing> batch, double *partials, bool add) {
  double sum = 0;
  for (int tile = static_cast<int>(blockIdx.x); tile < batch.tiles;
       tile += static_cast<int>(gridDim.x)) {
    const Span &span = batch.parts[part_of(batch.parts, batch.count, tile)];
    const int64_t begin = (tile - span.first_tile) * kTile;
    const int64_t elements = span.rows * span.columns;
    sum += squares(span, begin, begin + kTile < elements ? begin + kTile : elements);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partials[blockIdx.x] = add ? partials[blockIdx.x] + sum : sum;
}

__global__ void __launch_bounds__(kThreads) total_kernel(const double *partials, double *result) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < HF_NORM_PARTIALS; i += kThreads) {
    sum += partials[i];
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) *result = sum;
}

}  // namespace
}  // namespace holdfast

using namespace holdfast;

extern "C" int32_t hf_sum_of_squares(const hf_matrix *matrices, int64_t count, double *partials,
                                     double *result, void *stream) {
  if (int32_t status = check_sum_of_squares(matrices, count, partials, result)) return status;
  if (count > 0) {
    if (int32_t status = use_device_of(matrices[0], "matrix")) return status;
  }
  const int32_t status = in_batches<Span>(
      count, Nothing(),
      [&](int64_t i, Span &span) {
        const hf_matrix &a = matrices[i];
        const bool flat = dense(a);
        span = {a.data,
                flat ? 1 : a.rows,
                flat ? a.rows * a.columns : a.columns,
                a.stride,
                0,
                static_cast<uint8_t>(a.dtype),
                aligned(a)};
        return tiles_of(a.rows * a.columns);
      },
      // Always all blocks, so that every partial sum is written.
      [&](const Batch<Span, Nothing> &batch, bool first) {
        return launch(squares_kernel, HF_NORM_PARTIALS, kThreads, stream, batch, partials, !first);
      });
  return status != HF_OK ? status : launch(total_kernel, 1, kThreads, stream, partials, result);
}
