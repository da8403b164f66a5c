// The inner loops, compiled once for each instruction set. Each works on the part of the job that
// one thread takes; api.cpp shares the job out and chooses the set.
#pragma once

#include <cstdint>

#include "adamw_scalars.hpp"
#include "holdfast.h"

namespace holdfast {

// U [d, k] packed for streaming: for each block of `lanes` dimensions k vectors, zeros at the end.
struct PackedBasis {
  const float *data;
  int64_t d;
  int64_t k;
};

struct ConstrainJob {
  const hf_matrix *g;
  const hf_matrix *h;
  const int64_t *rows;
  const hf_matrix *c;
  const float *filter;
  const float *weight;
  float *penalty;
};

struct CeKlJob {
  const hf_matrix *z;
  const hf_matrix *reference;
  const int64_t *labels;
  const float *ce_weight;
  const float *kl_weight;
  int direction;
  float *ce;
  float *kl;
};

struct KernelTable {
  const char *name;
  int64_t lanes;
  // Blocks first..last of U into the packed form at `to`.
  void (*pack)(const hf_matrix *u, int64_t first, int64_t last, float *to);
  // Rows first..last of the selection. A multiple of kRowGroup rows apart, so that the grouping
  // does not depend on who computes which part.
  void (*project)(const hf_matrix *h, const int64_t *rows, PackedBasis u, const hf_matrix *c,
                  int64_t first, int64_t last);
  void (*ablate)(const hf_matrix *h, PackedBasis u, int64_t first, int64_t last);
  void (*constrain)(const ConstrainJob &job, PackedBasis u, int64_t first, int64_t last);
  void (*ce_kl)(const CeKlJob &job, int64_t first, int64_t last);
  // scratch[k, c] = gradient_scale * B^T gradient for columns first..last.
  void (*adamw_components)(const hf_adamw_tensor &tensor, const AdamwScalars &s, int64_t first,
                           int64_t last);
  // Columns first..last of one row.
  void (*adamw_row)(const hf_adamw_tensor &tensor, const AdamwScalars &s, double lr, int64_t row,
                    int64_t first, int64_t last);
  double (*sum_of_squares)(const float *x, int64_t n);
};

constexpr int64_t kRowGroup = 4;

// Defined in the files compiled for that set; null where this build has no such set.
extern const KernelTable kBaseline;
#if defined(HF_X86)
extern const KernelTable kAvx2;
extern const KernelTable kAvx512;
#endif

}  // namespace holdfast
