// The pieces of a decoder's block: checks, then shares the rows out.
#include <algorithm>

#include "block_arguments.hpp"
#include "dispatch.hpp"
#include "parallel.hpp"

using namespace holdfast;

namespace {

// Parts that the rows of a norm are cut into, each with a gradient of w of its own.
int64_t parts_of(int64_t n) { return std::min<int64_t>(n, 64); }

}  // namespace

extern "C" {

int32_t hf_rms_norm(const hf_matrix *x, const hf_matrix *w, double eps, int32_t one_plus,
                    const hf_matrix *y, float *inverse, void *) {
  if (int32_t status = check_rms_norm(x, w, eps, one_plus, y, inverse)) return status;
  const NormJob job = {x, w, static_cast<float>(eps), one_plus != 0, y, nullptr, inverse};
  share(x->rows, 1, 4 * x->rows * x->columns,
        [&](int64_t first, int64_t last) { kernels().rms_norm(job, first, last); });
  return HF_OK;
}

int64_t hf_rms_norm_scratch(int64_t n, int64_t d) {
  return partial_bytes(n, d, n < 0 ? 0 : parts_of(n));
}

int32_t hf_rms_norm_backward(const hf_matrix *x, const hf_matrix *w, int32_t one_plus,
                             const float *inverse, const hf_matrix *g, const hf_matrix *dx,
                             float *dw, void *scratch, void *) {
  if (int32_t status = check_rms_norm_backward(x, w, one_plus, inverse, g, dx, dw, scratch)) {
    return status;
  }
  const int64_t n = x->rows;
  const int64_t d = x->columns;
  const int64_t parts = parts_of(n);
  auto *partials = dw != nullptr ? static_cast<float *>(scratch) : nullptr;
  const NormJob job = {x, w, 0, one_plus != 0, g, dx, const_cast<float *>(inverse)};
  share(parts, 1, 8 * n * d, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      kernels().rms_norm_backward(job, part * n / parts, (part + 1) * n / parts,
                                  partials != nullptr ? partials + part * d : nullptr);
    }
  });
  if (dw != nullptr) {
    share(d, 64, parts * d, [&](int64_t first, int64_t last) {
      std::fill(dw + first, dw + last, 0.0F);
      for (int64_t part = 0; part < parts; ++part) {
        const float *partial = partials + part * d;
        for (int64_t j = first; j < last; ++j) dw[j] += partial[j];
      }
    });
  }
  return HF_OK;
}

int32_t hf_rotate(const hf_matrix *x, int64_t head, const hf_matrix *c, const hf_matrix *s,
                  int32_t backward, void *) {
  if (int32_t status = check_rotate(x, head, c, s, backward)) return status;
  const RotateJob job = {x, head, c, s, backward != 0};
  share(x->rows, 1, 4 * x->rows * x->columns,
        [&](int64_t first, int64_t last) { kernels().rotate(job, first, last); });
  return HF_OK;
}

int32_t hf_gate(const hf_matrix *a, const hf_matrix *b, int32_t activation, const hf_matrix *y,
                void *) {
  if (int32_t status = check_gate(a, b, activation, y)) return status;
  const GateJob job = {a, b, activation, y, nullptr, nullptr};
  share(a->rows, 1, 24 * a->rows * a->columns,
        [&](int64_t first, int64_t last) { kernels().gate(job, first, last); });
  return HF_OK;
}

int32_t hf_gate_backward(const hf_matrix *a, const hf_matrix *b, int32_t activation,
                         const hf_matrix *g, const hf_matrix *da, const hf_matrix *db, void *) {
  if (int32_t status = check_gate_backward(a, b, activation, g, da, db)) return status;
  const GateJob job = {a, b, activation, g, da, db};
  share(a->rows, 1, 32 * a->rows * a->columns,
        [&](int64_t first, int64_t last) { kernels().gate_backward(job, first, last); });
  return HF_OK;
}
}
