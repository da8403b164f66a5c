// Wrong arguments: each is refused with a status and a message that names it, and nothing is
// written. Data pointers are looked at only as numbers.
#include "check.hpp"

namespace {

Random draw;

void expect_refused(int64_t status, int32_t wanted, const char *named) {
  expect(
      status == wanted && std::strstr(hf_last_error(), named) != nullptr,
      std::string("refusal of ") + named + ": " + std::to_string(status) + ", " + hf_last_error());
}

template <typename Edit>
hf_matrix with(hf_matrix m, const Edit &edit) {
  edit(m);
  return m;
}

struct Subspace {
  Padded h = draw.matrix(4, 8, 0, 1);
  Padded u = draw.basis(8, 2, 0);
  Padded c = draw.matrix(4, 2, 0, 1);
  Guarded scratch = subspace_scratch(u);

  int32_t project(const hf_matrix &a, const hf_matrix &b) {
    return hf_project(&a, nullptr, &b, &c.view, scratch.data(), nullptr);
  }
  template <typename Edit>
  int32_t with_h(const Edit &edit) {
    return project(with(h.view, edit), u.view);
  }
};

void null_pointers() {
  Subspace s;
  expect_refused(hf_project(nullptr, nullptr, &s.u.view, &s.c.view, s.scratch.data(), nullptr),
                 HF_INVALID, "h");
  expect_refused(s.with_h([](hf_matrix &m) { m.data = nullptr; }), HF_INVALID, "null");
  if (hf_subspace_scratch(8, 2) > 0) {
    expect_refused(hf_project(&s.h.view, nullptr, &s.u.view, &s.c.view, nullptr, nullptr),
                   HF_INVALID, "scratch: null");
  }
  expect_refused(hf_project(&s.h.view, nullptr, nullptr, &s.c.view, s.scratch.data(), nullptr),
                 HF_INVALID, "u: no matrix");
  expect_refused(hf_project(&s.h.view, nullptr, &s.u.view, nullptr, s.scratch.data(), nullptr),
                 HF_INVALID, "c: no matrix");
  expect_refused(hf_ablate(nullptr, &s.u.view, s.scratch.data(), nullptr), HF_INVALID, "h");
  expect_refused(hf_constrain(nullptr, &s.h.view, nullptr, &s.u.view, &s.c.view, nullptr, nullptr,
                              nullptr, s.scratch.data(), nullptr),
                 HF_INVALID, "g: no matrix");
  expect_refused(hf_allocate(8, nullptr), HF_INVALID, "8 bytes");
  const hf_adamw_step step = {1, 1e-2, 0.9, 0.95, 1e-8, 1};
  expect_refused(hf_adamw(nullptr, 1, &step, nullptr, nullptr), HF_INVALID, "null");
  expect_refused(hf_adamw(nullptr, 0, nullptr, nullptr, nullptr), HF_INVALID, "null");
  expect_refused(hf_sum_of_squares(nullptr, 0, nullptr, nullptr, nullptr), HF_INVALID, "partials");
  expect_refused(hf_copy(nullptr, nullptr, 1, nullptr), HF_INVALID, "1 bytes");
}

void misaligned_pointers() {
  Subspace s;
  const auto shift = [](hf_matrix &m) { m.data = static_cast<char *>(m.data) + 1; };
  expect_refused(s.with_h(shift), HF_INVALID, "misaligned");
  for (const int32_t dtype : {HF_BFLOAT16, HF_FLOAT16}) {
    const Padded half = draw.matrix(4, 8, 0, 1, dtype);
    expect_refused(s.project(with(half.view, shift), s.u.view), HF_INVALID, "h: misaligned");
  }
  expect_refused(
      hf_project(&s.h.view, nullptr, &s.u.view, &s.c.view, s.scratch.data() + 4, nullptr),
      HF_INVALID, "scratch: misaligned");
  const auto *rows = reinterpret_cast<const int64_t *>(s.scratch.data() + 4);
  expect_refused(hf_project(&s.h.view, rows, &s.u.view, &s.c.view, s.scratch.data(), nullptr),
                 HF_INVALID, "rows: misaligned");
  auto *weights = reinterpret_cast<float *>(s.scratch.data() + 2);
  const auto constrain = [&](const float *filter, const float *weight, float *penalty) {
    return hf_constrain(&s.h.view, &s.h.view, nullptr, &s.u.view, &s.c.view, filter, weight,
                        penalty, s.scratch.data(), nullptr);
  };
  expect_refused(constrain(weights, nullptr, nullptr), HF_INVALID, "filter: misaligned");
  expect_refused(constrain(nullptr, weights, nullptr), HF_INVALID, "weight: misaligned");
  expect_refused(constrain(nullptr, nullptr, weights), HF_INVALID, "penalty: misaligned");
  auto *doubles = reinterpret_cast<double *>(s.scratch.data() + 4);
  expect_refused(hf_sum_of_squares(nullptr, 0, doubles, doubles, nullptr), HF_INVALID, "partials");
}

void negative_sizes() {
  Subspace s;
  expect_refused(s.with_h([](hf_matrix &m) { m.rows = -1; }), HF_INVALID, "-1 rows");
  expect_refused(s.with_h([](hf_matrix &m) { m.columns = m.stride = -8; }), HF_INVALID,
                 "-8 columns");
  expect_refused(s.with_h([](hf_matrix &m) { m.stride = 7; }), HF_INVALID, "stride 7");
  expect_refused(-hf_subspace_scratch(-1, 0), HF_INVALID, "-1 x 0");
  expect_refused(-hf_ce_kl_scratch(-1, 5), HF_INVALID, "z");
  expect_refused(-hf_adamw_scratch(nullptr, -1), HF_INVALID, "negative count");
  expect_refused(hf_set_num_threads(-1), HF_INVALID, "-1");
  expect_refused(hf_allocate(-1, nullptr), HF_INVALID, "-1");
  expect_refused(hf_copy(s.scratch.data(), s.scratch.data(), -1, nullptr), HF_INVALID, "-1 bytes");
  const hf_adamw_step step = {1, 1e-2, 0.9, 0.95, 1e-8, 1};
  expect_refused(hf_adamw(nullptr, -1, &step, nullptr, nullptr), HF_INVALID, "negative count");
  auto *doubles = reinterpret_cast<double *>(s.scratch.data());
  expect_refused(hf_sum_of_squares(nullptr, -1, doubles, doubles, nullptr), HF_INVALID,
                 "negative count");
}

void overflowing_sizes() {
  Subspace s;
  expect_refused(s.with_h([](hf_matrix &m) { m.rows = m.stride = INT64_MAX / 2; }), HF_INVALID,
                 "overflow");
  expect_refused(s.with_h([](hf_matrix &m) { m.stride = INT64_MAX; }), HF_INVALID, "overflow");
  expect_refused(-hf_subspace_scratch(INT64_MAX / 2, 1000), HF_INVALID, "no basis");
  expect_refused(-hf_ce_kl_scratch(INT64_MAX / 2, INT64_MAX / 2), HF_INVALID, "z");
  hf_adamw_tensor t = {};
  t.basis = s.u.view;
  t.parameter.columns = INT64_MAX / 2;
  expect_refused(-hf_adamw_scratch(&t, 1), HF_INVALID, "overflow");
}

void more_directions_than_dimensions() {
  Subspace s;
  expect_refused(
      s.project(s.h.view, with(s.u.view, [](hf_matrix &m) { m.columns = m.stride = 9; })),
      HF_INVALID, "8 x 9");
  expect_refused(-hf_subspace_scratch(4, 5), HF_INVALID, "4 x 5");
  expect_refused(-hf_subspace_scratch(4096, HF_MAX_RANK + 1), HF_INVALID, "1025");
}

void shapes_that_disagree() {
  Subspace s;
  const Padded narrow = draw.basis(7, 2, 0);
  expect_refused(s.project(s.h.view, narrow.view), HF_INVALID, "7 x 2");
  const Padded short_c = draw.matrix(3, 2, 0, 1);
  expect_refused(
      hf_project(&s.h.view, nullptr, &s.u.view, &short_c.view, s.scratch.data(), nullptr),
      HF_INVALID, "no row index");
}

void wrong_dtypes() {
  Subspace s;
  expect_refused(s.with_h([](hf_matrix &m) { m.dtype = 42; }), HF_INVALID, "42");
  expect_refused(s.with_h([](hf_matrix &m) { m.dtype = -1; }), HF_INVALID, "-1");
  const Padded half = draw.matrix(4, 8, 0, 1, HF_BFLOAT16);
  expect_refused(hf_constrain(&half.view, &s.h.view, nullptr, &s.u.view, &s.c.view, nullptr,
                              nullptr, nullptr, s.scratch.data(), nullptr),
                 HF_INVALID, "g: has dtype code 1, h has 0");
  const hf_adamw_step step = {1, 1e-2, 0.9, 0.95, 1e-8, 1};
  hf_adamw_tensor t = {};
  t.parameter = t.gradient = t.first_moment = t.second_moment = half.view;
  expect_refused(hf_adamw(&t, 1, &step, nullptr, nullptr), HF_INVALID, "first_moment");
  t.first_moment = t.second_moment = s.h.view;
  t.master = half.view;
  expect_refused(hf_adamw(&t, 1, &step, nullptr, nullptr), HF_INVALID, "master");
}

void rows_of_logits() {
  const Padded z = draw.matrix(4, 8, 0, 1);
  const Padded r = draw.matrix(4, 8, 0, 1, HF_FLOAT16);
  std::vector<int64_t> labels(4);
  std::vector<float> weights(4);
  std::vector<float> out(4);
  const Guarded scratch = scratch_of(hf_ce_kl_scratch(4, 8));
  const auto call = [&](const hf_matrix *reference, const int64_t *rows, int64_t m,
                        const float *kl_weight, const hf_row_loss &loss) {
    return hf_ce_kl(&z.view, reference, rows, m, labels.data(), weights.data(), kl_weight, &loss,
                    out.data(), nullptr, scratch.data(), nullptr);
  };
  expect_refused(call(nullptr, nullptr, 4, nullptr, {-0.1, 0, 0}), HF_INVALID, "label_smoothing");
  expect_refused(call(nullptr, nullptr, 4, nullptr, {1.1, 0, 0}), HF_INVALID, "label_smoothing");
  expect_refused(call(nullptr, nullptr, 4, nullptr, {NAN, 0, 0}), HF_INVALID, "label_smoothing");
  expect_refused(call(nullptr, nullptr, 4, nullptr, {0, -30, 0}), HF_INVALID, "soft_cap");
  expect_refused(call(nullptr, nullptr, 4, nullptr, {0, INFINITY, 0}), HF_INVALID, "soft_cap");
  expect_refused(call(nullptr, nullptr, 4, nullptr, {0, 0, 2}), HF_INVALID, "direction: 2");
  expect_refused(call(nullptr, nullptr, -1, nullptr, {0, 0, 0}), HF_INVALID, "-1 of 4");
  const auto without = [&](const int64_t *ids, const float *weight, float *losses) {
    const hf_row_loss plain = {0, 0, 0};
    return hf_ce_kl(&z.view, nullptr, nullptr, 4, ids, weight, nullptr, &plain, losses, nullptr,
                    scratch.data(), nullptr);
  };
  expect_refused(without(nullptr, weights.data(), out.data()), HF_INVALID, "labels: null");
  expect_refused(without(labels.data(), nullptr, out.data()), HF_INVALID, "ce_weight: null");
  expect_refused(without(labels.data(), weights.data(), nullptr), HF_INVALID, "ce: null");
  expect_refused(hf_ce_kl(&z.view, nullptr, nullptr, 4, labels.data(), weights.data(), nullptr,
                          nullptr, out.data(), nullptr, scratch.data(), nullptr),
                 HF_INVALID, "loss: null");
  expect_refused(call(nullptr, nullptr, 3, nullptr, {0, 0, 0}), HF_INVALID, "no row index");
  expect_refused(call(nullptr, labels.data(), 5, nullptr, {0, 0, 0}), HF_INVALID, "5 of 4");
  expect_refused(call(nullptr, nullptr, 4, weights.data(), {0, 0, 0}), HF_INVALID,
                 "no reference logits");
  expect_refused(call(&r.view, nullptr, 4, weights.data(), {0, 0, 0}), HF_INVALID,
                 "r: has dtype code 2, z has 0");
}

void optimizer() {
  const hf_adamw_step never = {0, 1e-2, 0.9, 0.95, 1e-8, 1};
  expect_refused(hf_adamw(nullptr, 0, &never, nullptr, nullptr), HF_INVALID, "step 0");
  const hf_adamw_step step = {1, 1e-2, 0.9, 0.95, 1e-8, 1};
  const hf_adamw_step grows = {1, 1e-2, 1, 0.95, 1e-8, 1};
  expect_refused(hf_adamw(nullptr, 0, &grows, nullptr, nullptr), HF_INVALID, "betas 1");
  const Padded a = draw.matrix(4, 8, 0, 1);
  hf_adamw_tensor t = {};
  t.parameter = t.gradient = t.first_moment = t.second_moment = a.view;
  t.pull = 1;
  expect_refused(hf_adamw(&t, 1, &step, nullptr, nullptr), HF_INVALID, "reference");
  t.reference = a.view;
  t.coupled = 2;
  expect_refused(hf_adamw(&t, 1, &step, nullptr, nullptr), HF_INVALID, "coupled: 2");
  t.coupled = 0;
  const Padded u = draw.basis(4, 2, 0);
  t.basis = u.view;
  expect_refused(hf_adamw(&t, 1, &step, nullptr, nullptr), HF_INVALID, "scratch: null");
  t.basis = a.view;
  expect_refused(hf_adamw(&t, 1, &step, nullptr, nullptr), HF_INVALID, "4 x 8 is no basis");
  t.basis = draw.basis(5, 2, 0).view;
  expect_refused(hf_adamw(&t, 1, &step, nullptr, nullptr), HF_INVALID, "5 x 2 is no basis");
}

}  // namespace

int main() {
  expect(hf_abi_version() == HF_ABI_VERSION, "version");
  null_pointers();
  misaligned_pointers();
  negative_sizes();
  overflowing_sizes();
  more_directions_than_dimensions();
  shapes_that_disagree();
  wrong_dtypes();
  rows_of_logits();
  optimizer();
  std::printf(failures == 0 ? "passed\n" : "%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
