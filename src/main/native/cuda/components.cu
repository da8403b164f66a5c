// The components of gradients along bases on the GPU, those of many tensors in one launch.
#include "components.cuh"
#include "many.cuh"

namespace holdfast {
namespace {

constexpr int kPanel = 16;  // basis vectors summed at a time
constexpr int kWarps = kThreads / kWarp;

// A gradient [n, c] and its basis [n, k]; a tile is 32 columns.
struct Pair {
  const void *gradient, *basis;
  float *out;
  int64_t rows, columns, gradient_stride, basis_stride;
  int32_t k, first_tile;
  uint8_t gradient_dtype, basis_dtype;
};

inline __host__ __device__ int32_t first_tile(const Pair &pair) { return pair.first_tile; }
inline void set_first_tile(Pair &pair, int32_t tile) { pair.first_tile = tile; }

struct Nothing {};

// out[k, c] = basis^T gradient. A block takes 32 columns at a time; its warps share the rows out,
// and are summed in order. Neighbouring lanes read neighbouring columns; all read the same element
// of the basis.
__global__ void __launch_bounds__(kThreads)
    components_kernel(const __grid_constant__ Batch<Pair, Nothing> batch) {
  __shared__ float parts[kWarps][kPanel][kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  for (int tile = static_cast<int>(blockIdx.x); tile < batch.tiles;
       tile += static_cast<int>(gridDim.x)) {
    const Pair &pair = batch.parts[part_of(batch.parts, batch.count, tile)];
    const int64_t column = static_cast<int64_t>(tile - pair.first_tile) * kWarp + lane;
    const bool there = column < pair.columns;
    for (int first = 0; first < pair.k; first += kPanel) {
      const int panel = pair.k - first < kPanel ? pair.k - first : kPanel;
      float sums[kPanel] = {};
      for (int64_t i = warp; i < pair.rows; i += kWarps) {
        const float g =
            there ? element(pair.gradient_dtype, pair.gradient, i * pair.gradient_stride + column)
                  : 0.0F;
        for (int p = 0; p < kPanel; p++) {
          if (p < panel) {
            sums[p] += element(pair.basis_dtype, pair.basis, i * pair.basis_stride + first + p) * g;
          }
        }
      }
      for (int p = 0; p < kPanel; p++) parts[warp][p][lane] = sums[p];
      __syncthreads();
      for (int p = warp; p < panel; p += kWarps) {
        float sum = 0;
        for (int w = 0; w < kWarps; w++) sum += parts[w][p][lane];
        if (there) pair.out[(first + p) * pair.columns + column] = sum;
      }
      __syncthreads();
    }
  }
}

}  // namespace

int32_t gather_components(const hf_adamw_tensor *tensors, int64_t count, char *scratch,
                          void *stream) {
  ComponentCursor cursor(tensors, scratch);
  return in_batches<Pair>(
      count, Nothing(),
      [&](int64_t i, Pair &pair) -> int64_t {
        const hf_adamw_tensor &t = tensors[i];
        if (t.basis.data == nullptr || t.basis.columns == 0 || t.parameter.rows == 0) return 0;
        pair = {t.gradient.data,
                t.basis.data,
                cursor.at(&t),
                t.gradient.rows,
                t.gradient.columns,
                t.gradient.stride,
                t.basis.stride,
                static_cast<int32_t>(t.basis.columns),
                0,
                static_cast<uint8_t>(t.gradient.dtype),
                static_cast<uint8_t>(t.basis.dtype)};
        return (t.gradient.columns + kWarp - 1) / kWarp;
      },
      [&](const Batch<Pair, Nothing> &batch, bool) {
        return launch(components_kernel, batch.tiles, kThreads, stream, batch);
      });
}

}  // namespace holdfast
