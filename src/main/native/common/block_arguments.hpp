// Argument checks of the pieces of a decoder's block, which both libraries share.
#pragma once

#include "arguments.hpp"

namespace holdfast {

inline int32_t check_twin(const hf_matrix *a, const char *name, const hf_matrix *x,
                          const char *other) {
  if (int32_t status = check_same(a, name, x->rows, x->columns)) return status;
  return check_same_dtype(a, name, x, other);
}

inline int32_t check_norm(const hf_matrix *x, const hf_matrix *w, int32_t one_plus) {
  if (int32_t status = check_matrix(x, "x")) return status;
  if (int32_t status = check_same(w, "w", 1, x->columns)) return status;
  if (one_plus != 0 && one_plus != 1) {
    return fail(HF_INVALID, "one_plus: %d is neither 0 nor 1", one_plus);
  }
  return HF_OK;
}

inline int32_t check_rms_norm(const hf_matrix *x, const hf_matrix *w, double eps, int32_t one_plus,
                              const hf_matrix *y, const float *inverse) {
  if (int32_t status = check_norm(x, w, one_plus)) return status;
  if (!(eps >= 0)) return fail(HF_INVALID, "eps: %g is negative", eps);
  if (int32_t status = check_twin(y, "y", x, "x")) return status;
  return check_optional(inverse, "inverse", 4);
}

inline int32_t check_rms_norm_backward(const hf_matrix *x, const hf_matrix *w, int32_t one_plus,
                                       const float *inverse, const hf_matrix *g,
                                       const hf_matrix *dx, const float *dw, const void *scratch) {
  if (int32_t status = check_norm(x, w, one_plus)) return status;
  if (int32_t status = check_vector(inverse, "inverse", x->rows, 4)) return status;
  if (int32_t status = check_twin(g, "g", x, "x")) return status;
  if (int32_t status = check_twin(dx, "dx", x, "x")) return status;
  if (dw == nullptr) return HF_OK;
  if (int32_t status = check_optional(dw, "dw", 4)) return status;
  const int64_t bytes = hf_rms_norm_scratch(x->rows, x->columns);
  return bytes < 0 ? static_cast<int32_t>(-bytes) : check_vector(scratch, "scratch", bytes, 64);
}

// Bytes of `parts` partial sums of d floats, or the negative of a status.
inline int64_t partial_bytes(int64_t n, int64_t d, int64_t parts) {
  int64_t elements = 0;
  int64_t bytes = 0;
  if (n < 0 || d < 0 || !product_fits(parts, d, &elements) || !product_fits(elements, 4, &bytes)) {
    return -fail(HF_INVALID, "x: %lld x %lld are no rows to norm", static_cast<long long>(n),
                 static_cast<long long>(d));
  }
  return bytes;
}

inline int32_t check_rotate(const hf_matrix *x, int64_t head, const hf_matrix *c,
                            const hf_matrix *s, int32_t backward) {
  if (int32_t status = check_matrix(x, "x")) return status;
  if (int32_t status = check_matrix(c, "c")) return status;
  if (int32_t status = check_twin(s, "s", c, "c")) return status;
  if (head <= 0 || x->columns % head != 0) {
    return fail(HF_INVALID, "head: rows of %lld are no heads of %lld",
                static_cast<long long>(x->columns), static_cast<long long>(head));
  }
  if (c->columns % 2 != 0 || c->columns > head) {
    return fail(HF_INVALID, "c: %lld columns do not turn in a head of %lld",
                static_cast<long long>(c->columns), static_cast<long long>(head));
  }
  if (x->rows > 0 && (c->rows == 0 || x->rows % c->rows != 0)) {
    return fail(HF_INVALID, "c: %lld rows do not repeat in %lld", static_cast<long long>(c->rows),
                static_cast<long long>(x->rows));
  }
  if (backward != 0 && backward != 1) {
    return fail(HF_INVALID, "backward: %d is neither 0 nor 1", backward);
  }
  return HF_OK;
}

inline int32_t check_gate(const hf_matrix *a, const hf_matrix *b, int32_t activation,
                          const hf_matrix *y) {
  if (int32_t status = check_matrix(a, "a")) return status;
  if (int32_t status = check_twin(b, "b", a, "a")) return status;
  if (int32_t status = check_twin(y, "y", a, "a")) return status;
  if (activation != HF_SILU && activation != HF_GELU_TANH) {
    return fail(HF_INVALID, "activation: %d is unknown", activation);
  }
  return HF_OK;
}

inline int32_t check_gate_backward(const hf_matrix *a, const hf_matrix *b, int32_t activation,
                                   const hf_matrix *g, const hf_matrix *da, const hf_matrix *db) {
  if (int32_t status = check_gate(a, b, activation, g)) return status;
  if (int32_t status = check_twin(da, "da", a, "a")) return status;
  return check_twin(db, "db", a, "a");
}

}  // namespace holdfast
