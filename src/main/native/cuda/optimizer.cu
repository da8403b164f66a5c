// AdamW and the gradient norm on the GPU: many tensors in one launch, their addresses in the
// kernel's parameters, so that nothing is copied and the launch can be captured in a graph.
#include "adamw_scalars.hpp"
#include "device.cuh"

namespace holdfast {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kTile = 4096;  // elements of a block

// A kernel's parameters may take 32,764 bytes since CUDA 12.1, 4,096 before.
#if CUDART_VERSION >= 12010
constexpr size_t kParameterBytes = 32000;
#else
constexpr size_t kParameterBytes = 4000;
#endif

struct Tensor {
  float *p, *m, *v, *scratch;
  const float *g, *reference, *basis;
  int64_t rows, columns;  // 1 row where everything is dense
  int64_t p_stride, g_stride, m_stride, v_stride, reference_stride, basis_stride;
  int64_t k;
  int64_t first_tile;
  float keep, pull;
};

constexpr int kTensors = (kParameterBytes - sizeof(AdamwScalars) - 32) / sizeof(Tensor);

struct AdamwBatch {
  AdamwScalars s;
  int count;
  int64_t tiles;
  Tensor tensors[kTensors];
};

// The last part whose first tile is at most `tile`; parts without elements have no tile.
template <typename Part>
__device__ int part_of(const Part *parts, int count, int64_t tile) {
  int low = 0;
  int high = count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (parts[middle].first_tile <= tile) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

// scratch[k, c] = gradient_scale * B^T gradient; one thread a column, eight directions at a time.
__global__ void __launch_bounds__(kThreads)
    components_kernel(hf_adamw_tensor t, float gradient_scale) {
  constexpr int kPanel = 8;
  const int64_t columns = t.gradient.columns;
  for (int64_t column = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; column < columns;
       column += static_cast<int64_t>(gridDim.x) * kThreads) {
    for (int64_t first = 0; first < t.basis.columns; first += kPanel) {
      float sums[kPanel] = {};
      for (int64_t i = 0; i < t.gradient.rows; i++) {
        const float g = gradient_scale * row_of(t.gradient, i)[column];
        for (int p = 0; p < kPanel; p++) {
          if (first + p < t.basis.columns) sums[p] += row_of(t.basis, i)[first + p] * g;
        }
      }
      for (int p = 0; p < kPanel; p++) {
        if (first + p < t.basis.columns) t.scratch[(first + p) * columns + column] = sums[p];
      }
    }
  }
}

__device__ void update(const AdamwScalars &s, const Tensor &t, int64_t row, int64_t column) {
  float *p = t.p + row * t.p_stride + column;
  float *m = t.m + row * t.m_stride + column;
  float *v = t.v + row * t.v_stride + column;
  float g = s.gradient_scale * t.g[row * t.g_stride + column];
  for (int64_t j = 0; j < t.k; j++) {
    g -= t.basis[row * t.basis_stride + j] * t.scratch[j * t.columns + column];
  }
  const float before = *p;
  const float anchor =
      t.pull != 0 ? t.pull * (before - t.reference[row * t.reference_stride + column]) : 0.0F;
  const float first = *m + s.take1 * (g - *m);
  const float second = s.keep2 * *v + s.take2 * (g * g);
  *m = first;
  *v = second;
  *p = before * t.keep - anchor - s.step_size * (first / (sqrtf(second) * s.root + s.eps));
}

__global__ void __launch_bounds__(kThreads) adamw_kernel(const __grid_constant__ AdamwBatch batch) {
  for (int64_t tile = blockIdx.x; tile < batch.tiles; tile += gridDim.x) {
    const Tensor &t = batch.tensors[part_of(batch.tensors, batch.count, tile)];
    const int64_t begin = (tile - t.first_tile) * kTile;
    const int64_t end = std::min(begin + kTile, t.rows * t.columns);
    for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
      if (t.rows == 1) {
        update(batch.s, t, 0, i);
      } else {
        update(batch.s, t, i / t.columns, i % t.columns);
      }
    }
  }
}

struct Span {
  const float *x;
  int64_t rows, columns, stride;  // 1 row where it is dense
  int64_t first_tile;
};

constexpr int kSpans = (kParameterBytes - 64) / sizeof(Span);

struct NormBatch {
  int count;
  int64_t tiles;
  Span spans[kSpans];
};

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

// partials[block] is set by the first batch and added to by those after it.
__global__ void __launch_bounds__(kThreads)
    squares_kernel(const __grid_constant__ NormBatch batch, double *partials, bool add) {
  double sum = 0;
  for (int64_t tile = blockIdx.x; tile < batch.tiles; tile += gridDim.x) {
    const Span &span = batch.spans[part_of(batch.spans, batch.count, tile)];
    const int64_t begin = (tile - span.first_tile) * kTile;
    const int64_t end = std::min(begin + kTile, span.rows * span.columns);
    for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
      const int64_t at = span.rows == 1 ? i : i / span.columns * span.stride + i % span.columns;
      const double x = span.x[at];
      sum += x * x;
    }
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

bool dense(const hf_matrix &a) { return a.data == nullptr || a.stride == a.columns; }

float *data_of(const hf_matrix &a) { return static_cast<float *>(a.data); }

int64_t tiles_of(int64_t elements) { return (elements + kTile - 1) / kTile; }

Tensor tensor_of(const hf_adamw_tensor &t, double lr) {
  const bool flat = t.basis.data == nullptr && dense(t.parameter) && dense(t.gradient) &&
                    dense(t.first_moment) && dense(t.second_moment) && dense(t.reference);
  Tensor tensor = {};
  tensor.p = data_of(t.parameter);
  tensor.g = data_of(t.gradient);
  tensor.m = data_of(t.first_moment);
  tensor.v = data_of(t.second_moment);
  tensor.reference = data_of(t.reference);
  tensor.basis = data_of(t.basis);
  tensor.scratch = t.scratch;
  tensor.rows = flat ? 1 : t.parameter.rows;
  tensor.columns = flat ? t.parameter.rows * t.parameter.columns : t.parameter.columns;
  tensor.p_stride = t.parameter.stride;
  tensor.g_stride = t.gradient.stride;
  tensor.m_stride = t.first_moment.stride;
  tensor.v_stride = t.second_moment.stride;
  tensor.reference_stride = t.reference.stride;
  tensor.basis_stride = t.basis.stride;
  tensor.k = t.basis.data == nullptr ? 0 : t.basis.columns;
  tensor.keep = static_cast<float>(1 - lr * t.weight_decay);
  tensor.pull = static_cast<float>(lr * t.pull);
  return tensor;
}

}  // namespace
}  // namespace holdfast

using namespace holdfast;

extern "C" {

int32_t hf_adamw(const hf_adamw_tensor *tensors, int64_t count, const hf_adamw_step *step,
                 void *stream) {
  if (int32_t status = check_adamw(tensors, count, step)) return status;
  if (count > 0) {
    if (int32_t status = check_on_device(tensors[0].parameter, "parameter")) return status;
  }
  AdamwBatch batch;
  batch.s = adamw_scalars(*step);
  for (int64_t next = 0; next < count;) {
    batch.count = 0;
    batch.tiles = 0;
    for (; next < count && batch.count < kTensors; next++) {
      const hf_adamw_tensor &t = tensors[next];
      if (t.basis.data != nullptr) {
        const int64_t blocks = (t.parameter.columns + kThreads - 1) / kThreads;
        if (int32_t status =
                launch(components_kernel, blocks, kThreads, stream, t, batch.s.gradient_scale)) {
          return status;
        }
      }
      Tensor &tensor = batch.tensors[batch.count++];
      tensor = tensor_of(t, step->lr);
      tensor.first_tile = batch.tiles;
      batch.tiles += tiles_of(tensor.rows * tensor.columns);
    }
    if (int32_t status = launch(adamw_kernel, batch.tiles, kThreads, stream, batch)) return status;
  }
  return HF_OK;
}

int32_t hf_sum_of_squares(const hf_matrix *matrices, int64_t count, double *partials,
                          double *result, void *stream) {
  if (int32_t status = check_sum_of_squares(matrices, count, partials, result)) return status;
  if (count > 0) {
    if (int32_t status = check_on_device(matrices[0], "matrix")) return status;
  }
  NormBatch batch;
  int64_t next = 0;
  do {
    const bool add = next > 0;
    batch.count = 0;
    batch.tiles = 0;
    for (; next < count && batch.count < kSpans; next++) {
      const hf_matrix &a = matrices[next];
      const bool flat = dense(a);
      Span &span = batch.spans[batch.count++];
      span = {data_of(a), flat ? 1 : a.rows, flat ? a.rows * a.columns : a.columns, a.stride,
              batch.tiles};
      batch.tiles += tiles_of(span.rows * span.columns);
    }
    // Always all blocks, so that every partial sum is written.
    if (int32_t status =
            launch(squares_kernel, HF_NORM_PARTIALS, kThreads, stream, batch, partials, add)) {
      return status;
    }
  } while (next < count);
  return launch(total_kernel, 1, kThreads, stream, partials, result);
}
}
