// Argument checks that the CPU and the CUDA library share.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>

#include "holdfast.h"

namespace holdfast {

inline char *error_buffer() {
  thread_local char buffer[512] = "";
  return buffer;
}

__attribute__((format(printf, 2, 3))) inline int32_t fail(int32_t status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(error_buffer(), 512, format, arguments);
  va_end(arguments);
  return status;
}

inline bool product_fits(int64_t a, int64_t b, int64_t *out) {
  return !__builtin_mul_overflow(a, b, out);
}

inline int32_t check_matrix(const hf_matrix *m, const char *name) {
  if (m == nullptr) return fail(HF_INVALID, "%s: no matrix was given", name);
  if (m->rows < 0 || m->columns < 0 || m->stride < m->columns) {
    return fail(HF_INVALID, "%s: %lld rows, %lld columns, stride %lld are not a matrix", name,
                static_cast<long long>(m->rows), static_cast<long long>(m->columns),
                static_cast<long long>(m->stride));
  }
  int64_t elements = 0;
  int64_t bytes = 0;
  if (!product_fits(m->rows, m->stride, &elements) || !product_fits(elements, 8, &bytes)) {
    return fail(HF_INVALID, "%s: its size overflows", name);
  }
  if (m->data == nullptr && m->rows > 0 && m->columns > 0) {
    return fail(HF_INVALID, "%s: null data", name);
  }
  if (m->dtype < HF_FLOAT32 || m->dtype > HF_FLOAT16) {
    return fail(HF_INVALID, "%s: dtype code %d is unknown", name, m->dtype);
  }
  const uintptr_t alignment = m->dtype == HF_FLOAT32 ? 4 : 2;
  if (reinterpret_cast<uintptr_t>(m->data) % alignment != 0) {
    return fail(HF_INVALID, "%s: misaligned data", name);
  }
  return HF_OK;
}

inline int32_t check_same(const hf_matrix *a, const char *name, int64_t rows, int64_t columns) {
  if (int32_t status = check_matrix(a, name)) return status;
  if (a->rows != rows || a->columns != columns) {
    return fail(HF_INVALID, "%s: is %lld x %lld, should be %lld x %lld", name,
                static_cast<long long>(a->rows), static_cast<long long>(a->columns),
                static_cast<long long>(rows), static_cast<long long>(columns));
  }
  return HF_OK;
}

// What must not be rounded: moments, masters.
inline int32_t check_float32(const hf_matrix *a, const char *name, int64_t rows, int64_t columns) {
  if (int32_t status = check_same(a, name, rows, columns)) return status;
  if (a->dtype != HF_FLOAT32) {
    return fail(HF_INVALID, "%s: has dtype code %d, must be float32", name, a->dtype);
  }
  return HF_OK;
}

// Matrices that one kernel reads side by side.
inline int32_t check_same_dtype(const hf_matrix *a, const char *name, const hf_matrix *b,
                                const char *other) {
  if (a->dtype == b->dtype) return HF_OK;
  return fail(HF_INVALID, "%s: has dtype code %d, %s has %d", name, a->dtype, other, b->dtype);
}

// Anything that is not a matrix: indices, weights, results, scratch.
inline int32_t check_vector(const void *vector, const char *name, int64_t elements,
                            uintptr_t alignment) {
  if (vector == nullptr && elements > 0) return fail(HF_INVALID, "%s: null", name);
  if (reinterpret_cast<uintptr_t>(vector) % alignment != 0) {
    return fail(HF_INVALID, "%s: misaligned", name);
  }
  return HF_OK;
}

inline int32_t check_optional(const void *vector, const char *name, uintptr_t alignment) {
  return check_vector(vector, name, 0, alignment);
}

inline int32_t check_rank(int64_t d, int64_t k) {
  int64_t bytes = 0;
  if (d < 0 || k < 0 || k > d || k > HF_MAX_RANK || !product_fits(d, 8 * k, &bytes)) {
    return fail(HF_INVALID, "u: %lld x %lld is no basis of at most %d directions",
                static_cast<long long>(d), static_cast<long long>(k), HF_MAX_RANK);
  }
  return HF_OK;
}

inline int32_t check_basis(const hf_matrix *u, int64_t width) {
  if (int32_t status = check_matrix(u, "u")) return status;
  if (u->rows != width || u->columns > u->rows || u->columns > HF_MAX_RANK) {
    return fail(HF_INVALID,
                "u: %lld x %lld is no basis of at most %d directions in %lld dimensions",
                static_cast<long long>(u->rows), static_cast<long long>(u->columns), HF_MAX_RANK,
                static_cast<long long>(width));
  }
  return HF_OK;
}

// Rows of h and c: either an index list gives one row of h for each row of c, or they are as many.
inline int32_t check_project(const hf_matrix *h, const int64_t *rows, const hf_matrix *u,
                             const hf_matrix *c, const void *scratch) {
  if (int32_t status = check_matrix(h, "h")) return status;
  if (int32_t status = check_basis(u, h->columns)) return status;
  if (int32_t status = check_matrix(c, "c")) return status;
  if (int32_t status = check_same(c, "c", c->rows, u->columns)) return status;
  if (rows == nullptr && c->rows != h->rows) {
    return fail(HF_INVALID, "c: has %lld rows, h has %lld, and no row index was given",
                static_cast<long long>(c->rows), static_cast<long long>(h->rows));
  }
  if (int32_t status = check_optional(rows, "rows", 8)) return status;
  return check_vector(scratch, "scratch", hf_subspace_scratch(u->rows, u->columns), 64);
}

inline int32_t check_ablate(const hf_matrix *h, const hf_matrix *u, const void *scratch) {
  if (int32_t status = check_matrix(h, "h")) return status;
  if (int32_t status = check_basis(u, h->columns)) return status;
  return check_vector(scratch, "scratch", hf_subspace_scratch(u->rows, u->columns), 64);
}

inline int32_t check_constrain(const hf_matrix *g, const hf_matrix *h, const int64_t *rows,
                               const hf_matrix *u, const hf_matrix *c, const float *filter,
                               const float *weight, const float *penalty, const void *scratch) {
  if (int32_t status = check_project(h, rows, u, c, scratch)) return status;
  if (int32_t status = check_same(g, "g", h->rows, h->columns)) return status;
  if (int32_t status = check_same_dtype(g, "g", h, "h")) return status;
  if (int32_t status = check_optional(filter, "filter", 4)) return status;
  if (int32_t status = check_optional(weight, "weight", 4)) return status;
  return check_optional(penalty, "penalty", 4);
}

inline int32_t check_row_loss(const hf_row_loss *loss) {
  if (loss == nullptr) return fail(HF_INVALID, "loss: null");
  if (!(loss->label_smoothing >= 0 && loss->label_smoothing <= 1)) {
    return fail(HF_INVALID, "label_smoothing: %g is not from 0 to 1", loss->label_smoothing);
  }
  if (!(loss->soft_cap >= 0 && loss->soft_cap <= 1e30)) {
    return fail(HF_INVALID, "soft_cap: %g is neither 0 nor a bound", loss->soft_cap);
  }
  if (loss->direction != HF_KL_FORWARD && loss->direction != HF_KL_REVERSE) {
    return fail(HF_INVALID, "direction: %d is unknown", loss->direction);
  }
  return HF_OK;
}

inline int32_t check_ce_kl(const hf_matrix *z, const hf_matrix *r, const int64_t *rows, int64_t m,
                           const int64_t *labels, const float *ce_weight, const float *kl_weight,
                           const hf_row_loss *loss, const float *ce, const float *kl,
                           const void *scratch) {
  if (int32_t status = check_matrix(z, "z")) return status;
  if (int32_t status = check_row_loss(loss)) return status;
  if (m < 0 || m > z->rows || (rows == nullptr && m != z->rows)) {
    return fail(HF_INVALID, "rows: %lld of %lld%s", static_cast<long long>(m),
                static_cast<long long>(z->rows), rows == nullptr ? ", and no row index" : "");
  }
  if (m == 0) return HF_OK;
  if (z->columns == 0) return fail(HF_INVALID, "z: no columns");
  if (int32_t status = check_optional(rows, "rows", 8)) return status;
  if (int32_t status = check_vector(labels, "labels", m, 8)) return status;
  if (int32_t status = check_vector(ce_weight, "ce_weight", m, 4)) return status;
  if (int32_t status = check_optional(kl_weight, "kl_weight", 4)) return status;
  if (int32_t status = check_vector(ce, "ce", m, 4)) return status;
  if (int32_t status = check_optional(kl, "kl", 4)) return status;
  if (kl_weight != nullptr && r == nullptr) {
    return fail(HF_INVALID, "r: kl_weight is given, but no reference logits");
  }
  if (r != nullptr) {
    if (int32_t status = check_same(r, "r", z->rows, z->columns)) return status;
    if (int32_t status = check_same_dtype(r, "r", z, "z")) return status;
  }
  return check_vector(scratch, "scratch", hf_ce_kl_scratch(m, z->columns), 64);
}

// Bytes of the components U^T g of a tensor with a basis; negative where its sizes are wrong.
inline int64_t component_bytes(const hf_adamw_tensor &t) {
  if (t.basis.data == nullptr) return 0;
  const int64_t k = t.basis.columns;
  int64_t elements = 0;
  int64_t bytes = 0;
  if (k < 0 || k > HF_MAX_RANK || t.parameter.columns < 0 ||
      !product_fits(k, t.parameter.columns, &elements) || !product_fits(elements, 8, &bytes)) {
    return -fail(HF_INVALID, "basis: the size of its scratch overflows");
  }
  return (elements * 4 + 63) / 64 * 64;
}

inline int64_t adamw_scratch(const hf_adamw_tensor *tensors, int64_t count) {
  if (count < 0 || (count > 0 && tensors == nullptr)) {
    return -fail(HF_INVALID, "tensors: null, or a negative count");
  }
  int64_t bytes = 0;
  for (int64_t i = 0; i < count; i++) {
    const int64_t more = component_bytes(tensors[i]);
    if (more < 0) return more;
    if (bytes > INT64_MAX - more) return -fail(HF_INVALID, "scratch: its size overflows");
    bytes += more;
  }
  return bytes;
}

inline int32_t check_adamw_tensor(const hf_adamw_tensor &t) {
  if (int32_t status = check_matrix(&t.parameter, "parameter")) return status;
  const int64_t n = t.parameter.rows;
  const int64_t c = t.parameter.columns;
  if (int32_t status = check_same(&t.gradient, "gradient", n, c)) return status;
  if (int32_t status = check_float32(&t.first_moment, "first_moment", n, c)) return status;
  if (int32_t status = check_float32(&t.second_moment, "second_moment", n, c)) return status;
  if (t.master.data != nullptr) {
    if (int32_t status = check_float32(&t.master, "master", n, c)) return status;
  }
  if (t.reference.data != nullptr) {
    if (int32_t status = check_same(&t.reference, "reference", n, c)) return status;
  } else if (t.pull != 0) {
    return fail(HF_INVALID, "reference: a pull needs what it pulls to");
  }
  if (t.coupled != 0 && t.coupled != 1) {
    return fail(HF_INVALID, "coupled: %d is neither 0 nor 1", t.coupled);
  }
  return t.basis.data != nullptr ? check_basis(&t.basis, n) : static_cast<int32_t>(HF_OK);
}

inline int32_t check_adamw(const hf_adamw_tensor *tensors, int64_t count, const hf_adamw_step *step,
                           const void *scratch) {
  if (count < 0 || (count > 0 && tensors == nullptr) || step == nullptr) {
    return fail(HF_INVALID, "tensors or step: null, or a negative count");
  }
  const auto decay = [](double beta) { return beta >= 0 && beta < 1; };
  if (step->step < 1 || !decay(step->beta1) || !decay(step->beta2) || !(step->eps >= 0)) {
    return fail(HF_INVALID, "step: AdamW is not defined for step %lld, betas %g and %g, eps %g",
                static_cast<long long>(step->step), step->beta1, step->beta2, step->eps);
  }
  for (int64_t i = 0; i < count; i++) {
    if (int32_t status = check_adamw_tensor(tensors[i])) return status;
  }
  const int64_t bytes = adamw_scratch(tensors, count);
  return bytes < 0 ? static_cast<int32_t>(-bytes) : check_vector(scratch, "scratch", bytes, 64);
}

inline int32_t check_sum_of_squares(const hf_matrix *matrices, int64_t count,
                                    const double *partials, const double *result) {
  if (count < 0 || (count > 0 && matrices == nullptr)) {
    return fail(HF_INVALID, "matrices: null, or a negative count");
  }
  if (int32_t status = check_vector(partials, "partials", 1, 8)) return status;
  if (int32_t status = check_vector(result, "result", 1, 8)) return status;
  for (int64_t i = 0; i < count; i++) {
    if (int32_t status = check_matrix(matrices + i, "matrix")) return status;
  }
  return HF_OK;
}

}  // namespace holdfast
