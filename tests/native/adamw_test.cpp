// AdamW against its formulas in double precision, whichever library this is linked with.
#include "check.hpp"

namespace {

Random draw;

// What one AdamW test varies.
struct Variant {
  int32_t parameter;
  int32_t gradient;
  bool master;
  int64_t k;  // 0: no basis
  double pull;
  int32_t coupled;
};

void adamw(int64_t n, int64_t c, int64_t padding, const Variant &variant) {
  const hf_adamw_step step = {3, 1e-2, 0.9, 0.95, 1e-8, 0.5};
  const std::string what =
      text("adamw of", {n, c, variant.master, variant.k, variant.pull != 0, variant.coupled},
           variant.parameter);
  Padded p = draw.matrix(n, c, padding, 1, variant.parameter);
  Padded master = draw.matrix(n, c, padding, 1);
  Padded m = draw.matrix(n, c, padding, 1);
  Padded v = draw.matrix(n, c, padding, 1);
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < c; j++) v.set(i, j, std::fabs(v.at(i, j)));
  }
  const Padded g = draw.matrix(n, c, padding, 1, variant.gradient);
  const Padded reference = draw.matrix(n, c, padding / 2, 1, variant.parameter);
  const Padded basis = draw.basis(n, variant.k, 0, variant.gradient);
  const Padded p0 = variant.master ? master : p;
  const Padded m0 = m;
  const Padded v0 = v;
  hf_adamw_tensor t = {};
  t.parameter = p.view;
  t.gradient = g.view;
  t.first_moment = m.view;
  t.second_moment = v.view;
  t.weight_decay = 0.1;
  if (variant.master) t.master = master.view;
  if (variant.k != 0) t.basis = basis.view;
  if (variant.pull != 0) t.reference = reference.view;
  t.pull = variant.pull;
  t.coupled = variant.coupled;
  const Guarded scratch = scratch_of(hf_adamw_scratch(&t, 1));
  expect(hf_adamw(&t, 1, &step, scratch.data(), nullptr) == HF_OK, what + hf_last_error());
  for (int64_t j = 0; j < c; j++) {
    std::vector<double> along(static_cast<size_t>(variant.k));
    for (int64_t i = 0; i < n; i++) {
      for (size_t b = 0; b < along.size(); b++) {
        along[b] += 0.5 * g.at(i, j) * basis.at(i, static_cast<int64_t>(b));
      }
    }
    for (int64_t i = 0; i < n; i++) {
      const double before = p0.at(i, j);
      const double away = variant.pull != 0 ? before - reference.at(i, j) : 0;
      double gradient = 0.5 * g.at(i, j);
      for (size_t b = 0; b < along.size(); b++) {
        gradient -= along[b] * basis.at(i, static_cast<int64_t>(b));
      }
      if (variant.coupled != 0) gradient += variant.pull * away;
      const double first = 0.9 * m0.at(i, j) + 0.1 * gradient;
      const double second = 0.95 * v0.at(i, j) + 0.05 * gradient * gradient;
      double after = before * (1 - 1e-2 * 0.1);
      after -= 1e-2 * (first / (1 - 0.9 * 0.9 * 0.9)) /
               (std::sqrt(second / (1 - 0.95 * 0.95 * 0.95)) + 1e-8);
      if (variant.coupled == 0) after -= 1e-2 * variant.pull * away;
      expect_close(after, p.at(i, j), 10, what, variant.parameter);
      if (variant.master) expect_close(after, master.at(i, j), 10, what + ", master");
      expect_close(first, m.at(i, j), 1, what + ", first moment");
      expect_close(second, v.at(i, j), 1, what + ", second moment");
    }
  }
  p.expect_padding_untouched(what);
  if (variant.master) master.expect_padding_untouched(what);
}

void adamw() {
  for (const Variant &variant : {Variant{HF_FLOAT32, HF_FLOAT32, false, 0, 0, 0},
                                 {HF_FLOAT32, HF_FLOAT32, false, 2, 0.3, 0},
                                 {HF_FLOAT32, HF_BFLOAT16, false, 5, 0.3, 1},
                                 {HF_BFLOAT16, HF_BFLOAT16, true, 0, 0, 0},
                                 {HF_BFLOAT16, HF_BFLOAT16, true, 3, 0.2, 1},
                                 {HF_BFLOAT16, HF_FLOAT32, false, 0, 0.3, 0},
                                 {HF_FLOAT16, HF_FLOAT16, true, 1, 0.3, 0},
                                 {HF_FLOAT16, HF_FLOAT16, false, 0, 0, 0}}) {
    for (const int64_t c : {1, 17, 64, 127, 1000, 5000}) {
      if (few() && c > 127) continue;
      adamw(6, c, c % 2 == 0 ? 0 : 3, variant);
    }
    adamw(37, 40, 8, variant);
  }
}

// Many tensors at once are what they are one by one, whatever their kind.
void adamw_of_many() {
  const hf_adamw_step step = {1, 1e-2, 0.9, 0.95, 1e-8, 1};
  const int kCount = few() ? 700 : 1500;
  std::vector<Padded> owned;
  owned.reserve(static_cast<size_t>(10 * kCount));
  std::vector<hf_adamw_tensor> together;
  std::vector<hf_adamw_tensor> alone;
  for (int i = 0; i < kCount; i++) {
    const int64_t n = 1 + i % 3;
    const int64_t c = i % 7 * 5;
    const int32_t dtype = i % 4 == 1 ? HF_BFLOAT16 : HF_FLOAT32;
    const Padded p = draw.matrix(n, c, 0, 1, dtype);
    const Padded zero = draw.matrix(n, c, 0, 0);
    owned.push_back(draw.matrix(n, c, 0, 1, dtype));
    hf_adamw_tensor t = {};
    t.gradient = owned.back().view;
    if (i % 5 == 2) {
      owned.push_back(draw.basis(n, 1, 0));
      t.basis = owned.back().view;
    }
    for (std::vector<hf_adamw_tensor> *list : {&together, &alone}) {
      owned.push_back(p);
      t.parameter = owned.back().view;
      owned.push_back(zero);
      t.first_moment = owned.back().view;
      owned.push_back(zero);
      t.second_moment = owned.back().view;
      list->push_back(t);
    }
  }
  const Guarded scratch = scratch_of(hf_adamw_scratch(together.data(), kCount));
  expect(hf_adamw(together.data(), kCount, &step, scratch.data(), nullptr) == HF_OK, "adamw");
  for (int i = 0; i < kCount; i++) {
    const hf_matrix &a = together[static_cast<size_t>(i)].parameter;
    const hf_matrix &b = alone[static_cast<size_t>(i)].parameter;
    hf_adamw(&alone[static_cast<size_t>(i)], 1, &step, scratch.data(), nullptr);
    const auto bytes = static_cast<size_t>(a.rows * a.columns) * element_bytes(a.dtype);
    expect(std::memcmp(a.data, b.data, bytes) == 0, "adamw of many, tensor " + std::to_string(i));
  }
}

}  // namespace

int main() {
  return run_tests([] {
    adamw();
    adamw_of_many();
  });
}
