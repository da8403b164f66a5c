// The inner loops, compiled once for each instruction set. Each works on the part of the job that
// one thread takes; api.cpp shares the job out and chooses the set.
#pragma once

#include <cfloat>
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
  const int64_t *rows;
  const int64_t *labels;
  const float *ce_weight;
  const float *kl_weight;
  const hf_row_loss *loss;
  float *ce;
  float *kl;
};

// Part of a row of logits so far, relative to its largest logit.
struct RowSum {
  float largest = -FLT_MAX;  // finite, so that a first chunk of -inf does not become NaN
  double total = 0;          // sum of e^(x - largest)
};

// Columns of a row that are summed as one. Rows are always cut so, whether one thread takes all
// segments or many share them.
constexpr int64_t kSegment = 16384;

// A chunk of both rows stays in the first-level cache between its maximum and its exponentials.
constexpr int64_t kChunk = 1024;

// Part of a row of logits and of its reference so far.
struct RowStats {
  RowSum model;
  RowSum reference;
  double spread = 0;  // sum of e^(x - largest) times the log-ratio of x's row to the other
  double logits = 0;  // sum of the logits, for label smoothing
  float label = 0;    // the logit of the label
  float largest[kSegment / kChunk];  // the model's largest logit when each chunk was met
};

struct AdamwJob {
  const hf_adamw_tensor *tensor;
  const AdamwScalars *s;
  float keep;         // 1 - lr weight_decay
  float pull;         // lr pull, where it is decoupled
  float *components;  // [k, c] basis^T gradient
};

// Columns that one call of adamw_components may take.
constexpr int64_t kComponentColumns = 1024;

// A norm forward (y written) or backward (y is the gradient, inverse read).
struct NormJob {
  const hf_matrix *x;
  const hf_matrix *w;
  float eps;
  bool one_plus;
  const hf_matrix *y;
  const hf_matrix *dx;
  float *inverse;
};

struct RotateJob {
  const hf_matrix *x;
  int64_t head;
  const hf_matrix *c;
  const hf_matrix *s;
  bool backward;
};

// A gated activation forward (y written) or backward (y is the gradient).
struct GateJob {
  const hf_matrix *a;
  const hf_matrix *b;
  int32_t activation;
  const hf_matrix *y;
  const hf_matrix *da;
  const hf_matrix *db;
};

struct KernelTable {
  const char *name;
  int64_t lanes;
  // Blocks first..last of U into the packed form at `to`.
  void (*pack)(const hf_matrix *u, int64_t first, int64_t last, float *to);
  // Rows first..last of the selection. A row's result does not depend on which rows come with it.
  void (*project)(const hf_matrix *h, const int64_t *rows, PackedBasis u, const hf_matrix *c,
                  int64_t first, int64_t last);
  void (*ablate)(const hf_matrix *h, PackedBasis u, int64_t first, int64_t last);
  void (*constrain)(const ConstrainJob &job, PackedBasis u, int64_t first, int64_t last);
  // The first sweep over one segment of row i of the selection; a row's segments, merged in order;
  // its losses, which must be taken before the second sweep over any of its segments. The first
  // sweep may leave exponentials where the logits were, for the second: `largest` is its segment's.
  RowStats (*ce_kl_stats)(const CeKlJob &job, int64_t i, int64_t segment);
  void (*ce_kl_merge)(const CeKlJob &job, RowStats &sum, const RowStats &next);
  void (*ce_kl_losses)(const CeKlJob &job, int64_t i, const RowStats &row);
  void (*ce_kl_gradient)(const CeKlJob &job, int64_t i, int64_t segment, const RowStats &row,
                         const float *largest);
  // components[k, c] = B^T gradient for columns first..last.
  void (*adamw_components)(const AdamwJob &job, int64_t first, int64_t last);
  // Columns first..last of one row.
  void (*adamw_row)(const AdamwJob &job, int64_t row, int64_t first, int64_t last);
  double (*sum_of_squares)(const hf_matrix &a, int64_t row, int64_t first, int64_t last);
  // Rows first..last.
  void (*rms_norm)(const NormJob &job, int64_t first, int64_t last);
  // The same, and their part of the gradient of w, written to dw unless that is null.
  void (*rms_norm_backward)(const NormJob &job, int64_t first, int64_t last, float *dw);
  void (*rotate)(const RotateJob &job, int64_t first, int64_t last);
  void (*gate)(const GateJob &job, int64_t first, int64_t last);
  void (*gate_backward)(const GateJob &job, int64_t first, int64_t last);
};

// Rows that are worked on together.
constexpr int64_t kRowGroup = 8;

// Defined in the files compiled for that set; null where this build has no such set.
extern const KernelTable kBaseline;
#if defined(HF_X86)
extern const KernelTable kAvx2;
extern const KernelTable kAvx512;
extern const KernelTable kAvx512Bf16;
#endif

}  // namespace holdfast
