// AdamW on the GPU: many tensors in one launch, 500 plain ones (the LoRA of a model of 32 layers
// has up to 448) or 170 with every option.
#include "adamw_scalars.hpp"
#include "components.cuh"
#include "many.cuh"

namespace holdfast {
namespace {

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

inline __host__ __device__ int32_t first_tile(const Plain &t) { return t.first_tile; }
inline __host__ __device__ int32_t first_tile(const Full &t) { return t.plain.first_tile; }
inline void set_first_tile(Plain &t, int32_t tile) { t.first_tile = tile; }
inline void set_first_tile(Full &t, int32_t tile) { t.plain.first_tile = tile; }

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
    adamw_kernel(const __grid_constant__ Batch<Tensor, AdamwScalars> batch) {
  for (int tile = static_cast<int>(blockIdx.x); tile < batch.tiles;
       tile += static_cast<int>(gridDim.x)) {
    const Tensor &t = batch.parts[part_of(batch.parts, batch.count, tile)];
    const int64_t begin = (tile - first_tile(t)) * kTile;
    const int64_t elements = plain_of(t).elements;
    update_tile(batch.shared, t, begin, begin + kTile < elements ? begin + kTile : elements);
  }
}

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

// All plain tensors, or all others.
template <typename Tensor>
int32_t run(const hf_adamw_tensor *tensors, int64_t count, const hf_adamw_step &step, bool plain,
            char *scratch, void *stream) {
  ComponentCursor cursor(tensors, scratch);
  return in_batches<Tensor>(
      count, adamw_scalars(step),
      [&](int64_t i, Tensor &tensor) -> int64_t {
        const hf_adamw_tensor &t = tensors[i];
        if (is_plain(t) != plain) return 0;
        fill(tensor, t, step.lr, cursor.at(&t));
        return tiles_of(t.parameter.rows * t.parameter.columns);
      },
      [&](const Batch<Tensor, AdamwScalars> &batch, bool) {
        return launch(adamw_kernel<Tensor>, batch.tiles, kThreads, stream, batch);
      });
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
    if (int32_t status = use_device_of(tensors[0].parameter, "parameter")) return status;
  }
  auto *components = static_cast<char *>(scratch);
  if (int32_t status = gather_components(tensors, count, components, stream)) return status;
  if (int32_t status = run<Plain>(tensors, count, *step, true, components, stream)) return status;
  return run<Full>(tensors, count, *step, false, components, stream);
}
}
