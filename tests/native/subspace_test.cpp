// Projection, ablation and constraint against their formulas in double precision, whichever library
// this is linked with.
#include "check.hpp"

namespace {

Random draw;

// x U for row i of x.
std::vector<double> coefficients(const Padded &x, int64_t i, const Padded &u) {
  std::vector<double> sums(static_cast<size_t>(u.view.columns));
  for (int64_t t = 0; t < u.view.rows; t++) {
    for (size_t j = 0; j < sums.size(); j++) {
      sums[j] += x.at(i, t) * u.at(t, static_cast<int64_t>(j));
    }
  }
  return sums;
}

// Row i of x, plus U along.
double moved(const Padded &x, int64_t i, const Padded &u, const std::vector<double> &along,
             int64_t t) {
  double value = x.at(i, t);
  for (size_t j = 0; j < along.size(); j++) value += along[j] * u.at(t, static_cast<int64_t>(j));
  return value;
}

void constrain(const Padded &h, const Padded &u, const std::vector<int64_t> &rows, int64_t padding,
               const std::string &what) {
  const int32_t dtype = h.view.dtype;
  const auto m = static_cast<int64_t>(rows.size());
  const Guarded index = guarded(rows);
  const Guarded scratch = subspace_scratch(u);
  const Padded before = draw.matrix(h.view.rows, h.view.columns, padding, 1, dtype);
  Padded g = before;
  const Padded target = draw.matrix(m, u.view.columns, 0, 1, dtype);
  const std::vector<float> filter = draw.weights(m);
  std::vector<float> weight = draw.weights(m);
  std::swap(weight.front(), weight.back());
  const Guarded penalty(static_cast<size_t>(m) * 4);
  expect(hf_constrain(&g.view, &h.view, index.as<int64_t>(), &u.view, &target.view,
                      guarded(filter).as<float>(), guarded(weight).as<float>(), penalty.as<float>(),
                      scratch.data(), nullptr) == HF_OK,
         what);
  for (int64_t i = 0; i < m; i++) {
    const auto r = static_cast<size_t>(i);
    const std::vector<double> hu = coefficients(h, rows[r], u);
    std::vector<double> along = coefficients(before, rows[r], u);
    double square = 0;
    for (size_t j = 0; j < along.size(); j++) {
      const double drift = hu[j] - target.at(i, static_cast<int64_t>(j));
      square += drift * drift;
      along[j] = static_cast<double>(weight[r]) * drift - static_cast<double>(filter[r]) * along[j];
    }
    expect_close(square, static_cast<double>(penalty.as<float>()[i]), square, what + ", penalty");
    for (int64_t t = 0; t < h.view.columns; t++) {
      expect_close(moved(before, rows[r], u, along, t), g.at(rows[r], t), 10, what + ", gradient",
                   dtype);
    }
  }
  for (int64_t i = 0; i < h.view.rows; i++) {
    if ((h.view.rows - 1 - i) % 2 == 0) continue;
    for (int64_t t = 0; t < h.view.columns; t++) {
      expect(g.at(i, t) == before.at(i, t), what + ": wrote a row that was not selected");
    }
  }
  g.expect_padding_untouched(what);
}

void subspace(int64_t n, int64_t d, int64_t k, int64_t padding, int32_t dtype, int32_t basis) {
  const std::string what = text("subspace of", {n, d, k}, dtype);
  const Padded h = draw.matrix(n, d, padding, 1, dtype);
  const Padded u = draw.basis(d, k, padding / 2, basis);
  const Guarded scratch = subspace_scratch(u);
  const std::vector<int64_t> rows = some_rows(n);
  const Guarded index = guarded(rows);
  const auto m = static_cast<int64_t>(rows.size());

  Padded c = draw.matrix(m, k, 2, 1, basis);
  expect(
      hf_project(&h.view, index.as<int64_t>(), &u.view, &c.view, scratch.data(), nullptr) == HF_OK,
      what);
  for (int64_t i = 0; i < m; i++) {
    const std::vector<double> expected = coefficients(h, rows[static_cast<size_t>(i)], u);
    for (int64_t j = 0; j < k; j++) {
      expect_close(expected[static_cast<size_t>(j)], c.at(i, j), 1, what, basis);
    }
  }
  c.expect_padding_untouched(what);

  constrain(h, u, rows, padding, what);

  Padded ablated = h;
  expect(hf_ablate(&ablated.view, &u.view, scratch.data(), nullptr) == HF_OK, what);
  for (int64_t i = 0; i < n; i++) {
    std::vector<double> along = coefficients(h, i, u);
    for (double &a : along) a = -a;
    for (int64_t t = 0; t < d; t++) {
      expect_close(moved(h, i, u, along, t), ablated.at(i, t), 10, what + ", ablation", dtype);
    }
  }
  ablated.expect_padding_untouched(what);
}

void subspaces() {
  for (const int32_t dtype : {HF_FLOAT32, HF_BFLOAT16, HF_FLOAT16}) {
    for (const auto &shape : {std::array<int64_t, 4>{1, 1, 1, 3},
                              {3, 17, 1, 3},
                              {9, 31, 3, 1},
                              {17, 64, 16, 0},
                              {31, 64, 8, 8},
                              {5, 127, 17, 2},
                              {64, 48, 9, 16},
                              {4, 1000, 33, 0},
                              {127, 64, 31, 0},
                              {3, 1000, 64, 8},
                              {2, 300, 300, 1},
                              {2, 300, 70, 4},
                              {67, 72, 8, 0},
                              {40, 520, 2, 0},
                              {33, 1024, 5, 8},
                              {2, 8192, 24, 0},
                              {3, 8192, 8, 8}}) {
      if (few() && shape[0] * shape[1] * shape[2] > 40000) continue;
      subspace(shape[0], shape[1], shape[2], shape[3], dtype, HF_FLOAT32);
    }
    subspace(6, 128, 16, 0, dtype, dtype);
    subspace(5, 99, 3, 1, dtype, dtype);
  }
}

}  // namespace

int main() { return run_tests(subspaces); }
