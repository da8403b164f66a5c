// AdamW and the gradient norm on the GPU: many tensors in one launch. Their addresses travel in the
// kernel's parameters, so that nothing is copied and the launch can be captured in a graph; a table
// in device memory would have to be written by launches of its own. A launch takes 500 plain
// tensors (the LoRA of a model of 32 layers has up to 448), or 170 with every option.
#include "adamw_scalars.hpp"
#include "device.cuh"

namespace holdfast {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kTile = 4096;  // elements of a block
constexpr int kLane = 4;         // elements of a thread at a time

// A kernel's parameters may take 32,764 bytes since CUDA 12.1, 4,096 before.
#if CUDART_VERSION >= 12010
constexpr size_t kParameterBytes = 32600;
#else
constexpr size_t kParameterBytes = 4000;
#endif

// A tensor without options whose matrices are dense.
struct Plain {
  void *p;
  const void *g;
  float *m, *v, *master;
  int64_t elements;
  int32_t first_tile;
  float keep;
  uint8_t p_dtype, g_dtype;
  bool wide;  // four elements may be read at once
};

// Any tensor.
struct Full {
  Plain plain;
  const void *reference, *basis;
  const float *components;
  int64_t columns;
  int64_t p_stride, g_stride, m_stride, v_stride, master_stride, reference_stride, basis_stride;
  int32_t k;
  float pull;
  uint8_t reference_dtype, basis_dtype;
  bool coupled;
};

inline __host__ __device__ const Plain &plain_of(const Plain &t) { return t; }
inline __host__ __device__ const Plain &plain_of(const Full &t) { return t.plain; }

template <typename Tensor>
struct Batch {
  static constexpr int kTensors =
      static_cast<int>((kParameterBytes - sizeof(AdamwScalars) - 16) / sizeof(Tensor));
  AdamwScalars s;
  int32_t count;
  int32_t tiles;
  Tensor tensors[kTensors];
};

inline __host__ __device__ int32_t first_tile(const Plain &t) { return t.first_tile; }
inline __host__ __device__ int32_t first_tile(const Full &t) { return t.plain.first_tile; }

// The last part whose first tile is at most `tile`; parts without elements have no tile.
template <typename Part>
__device__ int part_of(const Part *parts, int count, int tile) {
  int low = 0;
  int high = count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (first_tile(parts[middle]) <= tile) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

struct Four {
  float at[kLane];
};

__device__ float from_bits(int32_t dtype, uint16_t bits) {
  return dtype == HF_BFLOAT16 ? to_float(__ushort_as_bfloat16(bits))
                              : to_float(__ushort_as_half(bits));
}

__device__ uint16_t to_bits(int32_t dtype, float x) {
  return dtype == HF_BFLOAT16 ? __bfloat16_as_ushort(from_float<__nv_bfloat16>(x))
                              : __half_as_ushort(from_float<__half>(x));
}

// Elements i to i + 3, or as many as there are.
__device__ Four load(int32_t dtype, const void *data, int64_t i, int count, bool wide) {
  Four x = {};
  if (wide && count == kLane) {
    if (dtype == HF_FLOAT32) {
      const auto v =
          *reinterpret_cast<const Values<float, kLane> *>(static_cast<const float *>(data) + i);
      for (int w = 0; w < kLane; w++) x.at[w] = v.at[w];
    } else {
      const auto v = *reinterpret_cast<const Values<uint16_t, kLane> *>(
          static_cast<const uint16_t *>(data) + i);
      for (int w = 0; w < kLane; w++) x.at[w] = from_bits(dtype, v.at[w]);
    }
    return x;
  }
  for (int w = 0; w < count; w++) x.at[w] = element(dtype, data, i + w);
  return x;
}

__device__ void store(int32_t dtype, void *data, int64_t i, int count, bool wide, const Four &x) {
  if (wide && count == kLane) {
    if (dtype == HF_FLOAT32) {
      Values<float, kLane> v;
      for (int w = 0; w < kLane; w++) v.at[w] = x.at[w];
      *reinterpret_cast<Values<float, kLane> *>(static_cast<float *>(data) + i) = v;
    } else {
      Values<uint16_t, kLane> v;
      for (int w = 0; w < kLane; w++) v.at[w] = to_bits(dtype, x.at[w]);
      *reinterpret_cast<Values<uint16_t, kLane> *>(static_cast<uint16_t *>(data) + i) = v;
    }
    return;
  }
  for (int w = 0; w < count; w++) set_element(dtype, data, i + w, x.at[w]);
}

// components[k, c] = B^T gradient. A block takes 32 columns; its warps share the rows out, and are
// summed in order.
__global__ void __launch_bounds__(kThreads)
    components_kernel(hf_matrix gradient, hf_matrix basis, float *components) {
  constexpr int kPanel = 16;
  constexpr int kWarps = kThreads / kWarp;
  __shared__ float parts[kWarps][kPanel][kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t columns = gradient.columns;
  for (int64_t block = blockIdx.x; block * kWarp < columns; block += gridDim.x) {
    const int64_t column = block * kWarp + lane;
    for (int64_t first = 0; first < basis.columns; first += kPanel) {
      const int64_t left = basis.columns - first;
      const int panel = static_cast<int>(left < kPanel ? left : kPanel);
      float sums[kPanel] = {};
      for (int64_t i = warp; i < gradient.rows; i += kWarps) {
        const float g = column < columns ? element(gradient, i, column) : 0.0F;
        for (int p = 0; p < kPanel; p++) {
          if (p < panel) sums[p] += element(basis, i, first + p) * g;
        }
      }
      for (int p = 0; p < kPanel; p++) parts[warp][p][lane] = sums[p];
      __syncthreads();
      for (int p = warp; p < panel; p += kWarps) {
        float sum = 0;
        for (int w = 0; w < kWarps; w++) sum += parts[w][p][lane];
        if (column < columns) components[(first + p) * columns + column] = sum;
      }
      __syncthreads();
    }
  }
}

__device__ void update(const AdamwScalars &s, float keep, float g, float anchor, float &p, float &m,
                       float &v) {
  m += s.take1 * (g - m);
  v = s.keep2 * v + s.take2 * (g * g);
  p = p * keep - anchor - s.step_size * (m / (sqrtf(v) * s.root + s.eps));
}

// Elements i and those after it.
__device__ void update(const AdamwScalars &s, const Plain &t, int64_t i, int count) {
  const int weights_dtype = t.master != nullptr ? static_cast<int>(HF_FLOAT32) : t.p_dtype;
  void *weights = t.master != nullptr ? static_cast<void *>(t.master) : t.p;
  const Four g = load(t.g_dtype, t.g, i, count, t.wide);
  Four p = load(weights_dtype, weights, i, count, t.wide);
  Four m = load(HF_FLOAT32, t.m, i, count, t.wide);
  Four v = load(HF_FLOAT32, t.v, i, count, t.wide);
  for (int w = 0; w < kLane; w++) {
    update(s, t.keep, s.gradient_scale * g.at[w], 0, p.at[w], m.at[w], v.at[w]);
  }
  store(HF_FLOAT32, t.m, i, count, t.wide, m);
  store(HF_FLOAT32, t.v, i, count, t.wide, v);
  store(t.p_dtype, t.p, i, count, t.wide, p);
  if (t.master != nullptr) store(HF_FLOAT32, t.master, i, count, t.wide, p);
}

__device__ void update(const AdamwScalars &s, const Full &t, int64_t row, int64_t column) {
  const Plain &x = t.plain;
  float *m = x.m + row * t.m_stride + column;
  float *v = x.v + row * t.v_stride + column;
  const int64_t at = row * t.p_stride + column;
  float *master = x.master != nullptr ? x.master + row * t.master_stride + column : nullptr;
  float p = master != nullptr ? *master : element(x.p_dtype, x.p, at);
  float g = s.gradient_scale * element(x.g_dtype, x.g, row * t.g_stride + column);
  for (int64_t j = 0; j < t.k; j++) {
    g -= s.gradient_scale * element(t.basis_dtype, t.basis, row * t.basis_stride + j) *
         t.components[j * t.columns + column];
  }
  float anchor = 0;
  if (t.pull != 0) {
    const float there = element(t.reference_dtype, t.reference, row * t.reference_stride + column);
    const float pull = t.pull * (p - there);
    g += t.coupled ? pull : 0.0F;
    anchor = t.coupled ? 0.0F : pull;
  }
  update(s, x.keep, g, anchor, p, *m, *v);
  set_element(x.p_dtype, x.p, at, p);
  if (master != nullptr) *master = p;
}

__device__ void update_tile(const AdamwScalars &s, const Plain &t, int64_t begin, int64_t end) {
  for (int64_t i = begin + threadIdx.x * kLane; i < end; i += kThreads * kLane) {
    update(s, t, i, static_cast<int>(end - i < kLane ? end - i : kLane));
  }
}

__device__ void update_tile(const AdamwScalars &s, const Full &t, int64_t begin, int64_t end) {
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    update(s, t, i / t.columns, i % t.columns);
  }
}

template <typename Tensor>
__global__ void __launch_bounds__(kThreads)
    adamw_kernel(const __grid_constant__ Batch<Tensor> batch) {
  for (int tile = static_cast<int>(blockIdx.x); tile < batch.tiles;
       tile += static_cast<int>(gridDim.x)) {
    const Tensor &t = batch.tensors[part_of(batch.tensors, batch.count, tile)];
    const int64_t begin = (tile - first_tile(t)) * kTile;
    const int64_t elements = plain_of(t).elements;
    update_tile(batch.s, t, begin, begin + kTile < elements ? begin + kTile : elements);
  }
}

struct Span {
  const void *x;
  int64_t rows, columns, stride;  // 1 row where it is dense
  int32_t first_tile;
  uint8_t dtype;
  bool wide;
};

inline __host__ __device__ int32_t first_tile(const Span &span) { return span.first_tile; }

struct NormBatch {
  static constexpr int kSpans = static_cast<int>((kParameterBytes - 64) / sizeof(Span));
  int32_t count;
  int32_t tiles;
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
    squares_kernel(const __grid_constant__ NormBatch batch, double *partials, bool add) {
  double sum = 0;
  for (int tile = static_cast<int>(blockIdx.x); tile < batch.tiles;
       tile += static_cast<int>(gridDim.x)) {
    const Span &span = batch.spans[part_of(batch.spans, batch.count, tile)];
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

bool dense(const hf_matrix &a) { return a.data == nullptr || a.stride == a.columns; }

bool aligned(const hf_matrix &a) {
  const uintptr_t bytes = kLane * (a.dtype == HF_FLOAT32 ? 4 : 2);
  return reinterpret_cast<uintptr_t>(a.data) % bytes == 0;
}

int64_t tiles_of(int64_t elements) { return (elements + kTile - 1) / kTile; }

bool is_plain(const hf_adamw_tensor &t) {
  return t.basis.data == nullptr && t.pull == 0 && dense(t.parameter) && dense(t.gradient) &&
         dense(t.first_moment) && dense(t.second_moment) && dense(t.master);
}

void fill(Plain &plain, const hf_adamw_tensor &t, double lr, const float *) {
  plain = {};
  plain.p = t.parameter.data;
  plain.g = t.gradient.data;
  plain.m = static_cast<float *>(t.first_moment.data);
  plain.v = static_cast<float *>(t.second_moment.data);
  plain.master = static_cast<float *>(t.master.data);
  plain.elements = t.parameter.rows * t.parameter.columns;
  plain.keep = static_cast<float>(1 - lr * t.weight_decay);
  plain.p_dtype = static_cast<uint8_t>(t.parameter.dtype);
  plain.g_dtype = static_cast<uint8_t>(t.gradient.dtype);
  plain.wide = aligned(t.parameter) && aligned(t.gradient) && aligned(t.first_moment) &&
               aligned(t.second_moment) && aligned(t.master);
}

void fill(Full &full, const hf_adamw_tensor &t, double lr, const float *components) {
  full = {};
  fill(full.plain, t, lr, nullptr);
  full.reference = t.reference.data;
  full.basis = t.basis.data;
  full.components = components;
  full.columns = t.parameter.columns;
  full.p_stride = t.parameter.stride;
  full.g_stride = t.gradient.stride;
  full.m_stride = t.first_moment.stride;
  full.v_stride = t.second_moment.stride;
  full.master_stride = t.master.stride;
  full.reference_stride = t.reference.stride;
  full.basis_stride = t.basis.stride;
  full.k = t.basis.data == nullptr ? 0 : static_cast<int32_t>(t.basis.columns);
  full.pull = static_cast<float>(t.coupled != 0 ? t.pull : lr * t.pull);
  full.reference_dtype = static_cast<uint8_t>(t.reference.dtype);
  full.basis_dtype = static_cast<uint8_t>(t.basis.dtype);
  full.coupled = t.coupled != 0;
}

Plain &plain_part(Plain &t) { return t; }
Plain &plain_part(Full &t) { return t.plain; }

// All plain tensors, or all others, in as few launches as their descriptions take.
template <typename Tensor>
int32_t run(const hf_adamw_tensor *tensors, int64_t count, const hf_adamw_step &step, bool plain,
            const char *scratch, void *stream) {
  Batch<Tensor> batch;
  batch.s = adamw_scalars(step);
  for (int64_t next = 0; next < count;) {
    batch.count = 0;
    int64_t tiles = 0;
    for (; next < count && batch.count < Batch<Tensor>::kTensors; next++) {
      const hf_adamw_tensor &t = tensors[next];
      const int64_t more = tiles_of(t.parameter.rows * t.parameter.columns);
      if (more > INT32_MAX) return fail(HF_UNSUPPORTED, "parameter: too large");
      if (tiles + more > INT32_MAX) break;
      const auto *components = reinterpret_cast<const float *>(scratch);
      scratch += component_bytes(t);
      if (is_plain(t) != plain || more == 0) continue;
      Tensor &tensor = batch.tensors[batch.count++];
      fill(tensor, t, step.lr, components);
      plain_part(tensor).first_tile = static_cast<int32_t>(tiles);
      tiles += more;
    }
    batch.tiles = static_cast<int32_t>(tiles);
    if (int32_t status = launch(adamw_kernel<Tensor>, tiles, kThreads, stream, batch)) {
      return status;
    }
  }
  return HF_OK;
}

}  // namespace
}  // namespace holdfast

using namespace holdfast;

extern "C" {

int64_t hf_adamw_scratch(const hf_adamw_tensor *tensors, int64_t count) {
  return adamw_scratch(tensors, count);
}

int32_t hf_adamw(const hf_adamw_tensor *tensors, int64_t count, const hf_adamw_step *step,
                 void *scratch, void *stream) {
  if (int32_t status = check_adamw(tensors, count, step, scratch)) return status;
  if (count > 0) {
    if (int32_t status = check_on_device(tensors[0].parameter, "parameter")) return status;
  }
  auto *components = static_cast<char *>(scratch);
  for (int64_t i = 0; i < count; i++) {
    const hf_adamw_tensor &t = tensors[i];
    if (t.basis.data == nullptr) continue;
    const int64_t blocks = (t.parameter.columns + kWarp - 1) / kWarp;
    if (int32_t status = launch(components_kernel, blocks, kThreads, stream, t.gradient, t.basis,
                                reinterpret_cast<float *>(components))) {
      return status;
    }
    components += component_bytes(t);
  }
  const auto *start = static_cast<const char *>(scratch);
  if (int32_t status = run<Plain>(tensors, count, *step, true, start, stream)) return status;
  return run<Full>(tensors, count, *step, false, start, stream);
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
    int64_t tiles = 0;
    for (; next < count && batch.count < NormBatch::kSpans; next++) {
      const hf_matrix &a = matrices[next];
      const int64_t more = tiles_of(a.rows * a.columns);
      if (more == 0) continue;
      if (more > INT32_MAX) return fail(HF_UNSUPPORTED, "matrix: too large");
      if (tiles + more > INT32_MAX) break;
      const bool flat = dense(a);
      batch.spans[batch.count++] = {
          a.data,    flat ? 1 : a.rows,           flat ? a.rows * a.columns : a.columns,
          a.stride,  static_cast<int32_t>(tiles), static_cast<uint8_t>(a.dtype),
          aligned(a)};
      tiles += more;
    }
    batch.tiles = static_cast<int32_t>(tiles);
    // Always all blocks, so that every partial sum is written.
    if (int32_t status =
            launch(squares_kernel, HF_NORM_PARTIALS, kThreads, stream, batch, partials, add)) {
      return status;
    }
  } while (next < count);
  return launch(total_kernel, 1, kThreads, stream, partials, result);
}
}
