/* Holdfast's native kernels: the only contract between native code and everybody else.
 *
 * Every library (libholdfast_cpu, libholdfast_cuda) exports exactly these functions.
 *
 * Conventions
 *   - Matrices are row-major; strides count elements, from one row to the next. Elements are
 * float32, bfloat16 or float16, aligned to their size. Everything is computed in float32; what is
 * written is rounded once, to nearest, ties to even.
 *   - Functions return HF_OK or another status; hf_last_error() then says what was wrong, in the
 *     thread that called. A call that does not return HF_OK for its arguments has written nothing.
 *   - Nothing is allocated behind the caller's back. Where a kernel needs room, this file says how
 *     much, and the caller passes it.
 *   - `stream` is a cudaStream_t, or null for the default stream. CUDA calls return before the work
 *     is done and never synchronise. The CPU library ignores it.
 *   - Data pointers (matrices, indices, weights, scratch, results) are device memory for the CUDA
 *     library, host memory for the CPU library. The structs themselves lie in host memory. The CUDA
 *     library refuses a first matrix in host memory.
 *   - Sums accumulate in float32 or wider, in an order that does not depend on the number of
 *     threads: the same library on the same machine repeats its results bit for bit.
 *   - NaN and infinity are data, not errors: they reach the output by IEEE rules, and only the
 *     output of their own row where rows are independent. A weight of exactly 0 switches its term
 *     off: it adds nothing to the output, whatever it would have multiplied. Tensor cores (16-bit
 * rows against a basis, on the GPU) may turn an infinity into NaN.
 *   - Indices (rows, labels) out of range are HF_INVALID on the CPU. The CUDA library cannot look
 * at them without waiting: it skips such rows, and answers such labels with NaN.
 */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <stdint.h>

#if defined(_WIN32)
#define HF_API __declspec(dllexport)
#else
#define HF_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a signature, a struct or a meaning below changes. */
#define HF_ABI_VERSION 2

/* Largest subspace rank k. */
#define HF_MAX_RANK 1024

enum hf_status {
  HF_OK = 0,
  HF_INVALID = 1,     /* an argument is wrong, whatever the library */
  HF_UNSUPPORTED = 2, /* a right argument that this library has no code for */
  HF_DEVICE = 3       /* the device or its driver failed, or there is none */
};

enum hf_dtype { HF_FLOAT32 = 0, HF_BFLOAT16 = 1, HF_FLOAT16 = 2 };

enum hf_kl_direction { HF_KL_FORWARD = 0, HF_KL_REVERSE = 1 };

enum hf_activation { HF_SILU = 0, HF_GELU_TANH = 1 };

/* A matrix that the caller owns; element (i, j) is data[i * stride + j]. 40 bytes. */
typedef struct hf_matrix {
  void *data;
  int64_t rows;
  int64_t columns;
  int64_t stride;
  int32_t dtype;
} hf_matrix;

/* How rows of logits become a loss. 24 bytes. */
typedef struct hf_row_loss {
  double label_smoothing; /* from 0 to 1 */
  double soft_cap;        /* 0 for none */
  int32_t direction;      /* hf_kl_direction */
} hf_row_loss;

/* One parameter of an AdamW step; a matrix with null data is absent. 304 bytes. */
typedef struct hf_adamw_tensor {
  hf_matrix parameter;     /* [n, c] written; the weights themselves where there is no master */
  hf_matrix gradient;      /* [n, c] read */
  hf_matrix first_moment;  /* [n, c] updated, float32 */
  hf_matrix second_moment; /* [n, c] updated, float32 */
  hf_matrix master;    /* [n, c] updated, float32: weights whose rounded copy is the parameter */
  hf_matrix reference; /* [n, c] that `pull` draws towards; optional */
  hf_matrix basis;     /* [n, k] orthonormal columns the gradient must not touch; optional */
  double weight_decay;
  double pull;
  int32_t coupled; /* 1: the pull joins the gradient; 0: it is decoupled, as weight decay is */
} hf_adamw_tensor;

/* What all tensors of an AdamW step share. 48 bytes. */
typedef struct hf_adamw_step {
  int64_t step; /* from 1 */
  double lr;
  double beta1;
  double beta2;
  double eps;
  double gradient_scale;
} hf_adamw_step;

/* ---- The library ----------------------------------------------------------------------------- */

/* The value of HF_ABI_VERSION this library was built with. */
HF_API int32_t hf_abi_version(void);

/* What was wrong with this thread's last call that failed; never null. */
HF_API const char *hf_last_error(void);

/* HF_OK where this library can run here; HF_DEVICE where there is no device that it can use. */
HF_API int32_t hf_available(void);

/* What runs: instruction set and threads, or the device. Valid until this thread's next call. */
HF_API const char *hf_description(void);

/* Threads of the CPU library, whichever thread calls; 0 leaves it to OpenMP. Results do not depend
 * on it. The CUDA library ignores it. */
HF_API int32_t hf_set_num_threads(int32_t threads);

/* Memory where this library's kernels can reach it, aligned to 256 bytes, and its end; for callers
 * without another allocator for the device. Null may be released. */
HF_API int32_t hf_allocate(int64_t bytes, void **out);
HF_API int32_t hf_release(void *memory);

/* Copies between host and device memory, in any direction, and waits for the copy and for all that
 * was queued on the stream. */
HF_API int32_t hf_copy(void *to, const void *from, int64_t bytes, void *stream);

/* ---- Activation projection ------------------------------------------------------------------- */

/* Bytes of scratch, aligned to 64, that the three kernels of a basis U [d, k] need; they leave
 * nothing there. Negative where there is no such basis. */
HF_API int64_t hf_subspace_scratch(int64_t d, int64_t k);

/* Coefficients in a subspace.
 *   C = H[rows] U
 * H: [n, d]   rows: [m] or null for all   U: [d, k] orthonormal columns   C: [m, k] written
 * Reads H and U once: m d + d k values; 2 m d k flops. */
HF_API int32_t hf_project(const hf_matrix *h, const int64_t *rows, const hf_matrix *u,
                          const hf_matrix *c, void *scratch, void *stream);

/* Directional ablation, in place.
 *   H <- H - (H U) U^T
 * H: [n, d]   U: [d, k] orthonormal columns
 * Reads and writes H once (a row stays in cache between its two sweeps): 2 n d values; 4 n d k
 * flops. No d x d projector is formed. */
HF_API int32_t hf_ablate(const hf_matrix *h, const hf_matrix *u, void *scratch, void *stream);

/* ---- Safety-subspace constraint -------------------------------------------------------------- */

/* Safety-subspace constraint, in place on the gradient of a hidden state.
 *   G[r] <- G[r] - filter[i] (G[r] U) U^T + weight[i] (H[r] U - C[i]) U^T     r = rows[i]
 *   penalty[i] = ||H[r] U - C[i]||^2
 * G, H: [n, d]   rows: [m], none twice, or null for all   U: [d, k]   C: [m, k]
 * filter, weight, penalty: [m] or null (0, 0, not wanted)
 * Reads H and G once, writes G once: 3 m d values; 8 m d k flops. */
HF_API int32_t hf_constrain(const hf_matrix *g, const hf_matrix *h, const int64_t *rows,
                            const hf_matrix *u, const hf_matrix *c, const float *filter,
                            const float *weight, float *penalty, void *scratch, void *stream);

/* ---- Rows of logits -------------------------------------------------------------------------- */

/* Bytes of scratch, aligned to 64, that hf_ce_kl needs; it leaves nothing there. Negative where
 * there are no such rows. */
HF_API int64_t hf_ce_kl_scratch(int64_t rows, int64_t vocabulary);

/* Rows of logits to the gradient of their loss, in place.
 *   L[i] = ce_weight[i] CE + kl_weight[i] KL                  of row r = rows[i] of Z and R
 *   p = softmax(cap(Z)), q = softmax(cap(R)), cap(z) = soft_cap tanh(z / soft_cap), or z for 0
 *   CE = -(1 - label_smoothing) log p[label[i]] - label_smoothing / V sum_j log p[j]
 *        gradient p - (1 - label_smoothing) onehot - label_smoothing / V
 *   forward: KL(q || p), gradient p - q     reverse: KL(p || q), gradient p (log p - log q - KL)
 *   each gradient times 1 - (cap(z) / soft_cap)^2 where there is a cap
 * Z: [n, V] logits, overwritten in these rows only   R: [n, V] reference logits of the same dtype,
 * or null where kl_weight is null   rows: [m], none twice, or null for rows 0 to m - 1 = n - 1
 * labels: [m] below V; a negative label has no cross entropy, and its ce is 0
 * ce, kl: [m] written, unweighted, whatever the weights; kl may be null, and is 0 without R
 * A row whose terms are both off becomes 0. A logit of -inf is probability 0, and 0 log 0 = 0,
 * where a probability may count as 0 when it is less than 2^-126 of its row's largest; with label
 * smoothing such a logit makes ce infinite. NaN or +inf in a row of Z makes its gradient and losses
 * NaN, and so does a row of only -inf; in a row of R, its kl and the gradient of the KL term. A
 * soft cap makes infinities finite: its limits. Two sweeps (online softmax): reads Z and R twice,
 * the second time mostly from cache, writes Z once: 3 to 5 m V values. */
HF_API int32_t hf_ce_kl(const hf_matrix *z, const hf_matrix *r, const int64_t *rows, int64_t m,
                        const int64_t *labels, const float *ce_weight, const float *kl_weight,
                        const hf_row_loss *loss, float *ce, float *kl, void *scratch, void *stream);

/* ---- Pieces of a decoder's block ------------------------------------------------------------- */

/* What a model's own code rounds on its way forward is rounded here, too, where the dtype is
 * narrower than float32; the ways back through norms and gates round once. */

/* Root-mean-square norm of rows (Zhang and Sennrich 2019).
 *   r[i] = 1 / sqrt(mean_j X[i,j]^2 + eps)
 *   Y[i,j] = round(X[i,j] r[i]) w[j], or X[i,j] r[i] (1 + w[j]) where one_plus
 * X, Y: [n, d] of one dtype   w: [1, d]   inverse: [n] written with r, or null
 * Reads X twice, the second time mostly from cache, writes Y: 2 n d values; 4 n d flops. */
HF_API int32_t hf_rms_norm(const hf_matrix *x, const hf_matrix *w, double eps, int32_t one_plus,
                           const hf_matrix *y, float *inverse, void *stream);

/* Bytes of scratch, aligned to 64, for the gradient of w; negative where there is no such norm. */
HF_API int64_t hf_rms_norm_scratch(int64_t n, int64_t d);

/* The way back through it, for the gradient G of Y and v = w, or 1 + w where one_plus.
 *   dX[i,j] = r[i] (G[i,j] v[j] - X[i,j] r[i] mean_k(G[i,k] v[k] X[i,k] r[i]))
 *   dw[j] = sum_i G[i,j] X[i,j] r[i]
 * X, G, dX: [n, d] of one dtype; dX may be G   inverse: [n] as hf_rms_norm has written it
 * dw: [d] written, or null: then scratch may be null
 * Reads X and G twice, the second time mostly from cache, writes dX: 3 n d values. */
HF_API int32_t hf_rms_norm_backward(const hf_matrix *x, const hf_matrix *w, int32_t one_plus,
                                    const float *inverse, const hf_matrix *g, const hf_matrix *dx,
                                    float *dw, void *scratch, void *stream);

/* Rotary position embedding (Su et al. 2021) of the first `width` values of every head, in place.
 *   x[j] <- round(x[j] C[t,j]) + round(x[(j + width/2) mod width] S[t,j])     t = i mod period
 *   backward, its transpose: g[j] <- round(g[j] C[t,j]) + round(g[k] S[t,k]), k = (j + width/2) mod
 *   width
 * X: [n, heads * head]   C, S: [period, width], sines with their sign; width even, n a multiple of
 * period. Reads and writes what turns: 2 n heads width values, and the tables. */
HF_API int32_t hf_rotate(const hf_matrix *x, int64_t head, const hf_matrix *c, const hf_matrix *s,
                         int32_t backward, void *stream);

/* The activation of a gated MLP (Shazeer 2020).
 *   Y = round(act(A)) B     act(a) = a / (1 + e^-a), or
 *                           a/2 (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3)))
 * A, B, Y: [n, m] of one dtype
 * Reads A and B, writes Y: 3 n m values. */
HF_API int32_t hf_gate(const hf_matrix *a, const hf_matrix *b, int32_t activation,
                       const hf_matrix *y, void *stream);

/* The way back through it, for the gradient G of Y.
 *   dA = G B act'(A)   dB = G act(A)
 * A, B, G, dA, dB: [n, m] of one dtype; dA may be A, and dB may be B
 * Reads three, writes two: 5 n m values. */
HF_API int32_t hf_gate_backward(const hf_matrix *a, const hf_matrix *b, int32_t activation,
                                const hf_matrix *g, const hf_matrix *da, const hf_matrix *db,
                                void *stream);

/* ---- Optimizer ------------------------------------------------------------------------------- */

/* Bytes of scratch, aligned to 64, that hf_adamw needs for these tensors; it leaves nothing there.
 * Looks at their sizes only, not at their data, and is negative where those are wrong. */
HF_API int64_t hf_adamw_scratch(const hf_adamw_tensor *tensors, int64_t count);

/* One AdamW step over many tensors (Loshchilov and Hutter 2019, as PyTorch computes it).
 *   g = gradient_scale grad;  g -= U (U^T g) where there is a basis
 *   g += pull (p - ref) where the pull is coupled: Adam's step on grad of pull/2 ||p - ref||^2
 *   m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
 *   p = p (1 - lr decay) - lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
 *       - lr pull (p - ref) where it is not
 * p is the master where there is one, and the parameter then its rounded copy. A pull of exactly 0
 * is off. The basis filters the gradient alone, so that a pull may bring back what it protects.
 * Reads 4 and writes 3 values a parameter; the reference adds 1, a basis another read of grad, a
 * master the write of the parameter. */
HF_API int32_t hf_adamw(const hf_adamw_tensor *tensors, int64_t count, const hf_adamw_step *step,
                        void *scratch, void *stream);

/* Sum of the squares of many matrices, in double, where no finite float overflows: the result is
 * not finite if and only if an element is not. It is the norm and the flag, to be read once a step.
 * partials: [HF_NORM_PARTIALS] scratch   result: [1] written
 * Reads everything once. */
#define HF_NORM_PARTIALS 1024
HF_API int32_t hf_sum_of_squares(const hf_matrix *matrices, int64_t count, double *partials,
                                 double *result, void *stream);

#ifdef __cplusplus
}
#endif
#endif
