// The C interface against formulas in double precision, whichever library this is linked with.
#include <cstring>

#include "check.hpp"

namespace {

Random draw;

// (x U)[j] for row i of x.
double coefficient(const Padded &x, int64_t i, const Padded &u, int64_t j) {
  double sum = 0;
  for (int64_t t = 0; t < u.view.rows; t++) {
    sum += static_cast<double>(x.at(i, t)) * static_cast<double>(u.at(t, j));
  }
  return sum;
}

void subspace(int64_t n, int64_t d, int64_t k) {
  const std::string what = "subspace of " + std::to_string(d) + " x " + std::to_string(k);
  const Padded h = draw.matrix(n, d, 3, 1);
  const Padded u = draw.basis(d, k, 1);
  std::vector<Line> scratch = subspace_scratch(u);
  std::vector<int64_t> rows;
  for (int64_t i = n - 1; i >= 0; i -= 2) rows.push_back(i);
  const auto m = static_cast<int64_t>(rows.size());

  Padded c = draw.matrix(m, k, 2, 1);
  expect(hf_project(&h.view, rows.data(), &u.view, &c.view, scratch.data(), nullptr) == HF_OK,
         what);
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < k; j++) {
      expect_close(coefficient(h, rows[static_cast<size_t>(i)], u, j), c.at(i, j), 1, what);
    }
  }
  c.expect_padding_untouched(what);

  const Padded before = draw.matrix(n, d, 2, 1);
  Padded g = before;
  const Padded target = draw.matrix(m, k, 0, 1);
  const std::vector<float> filter = draw.weights(m);
  const std::vector<float> weight = draw.weights(m);
  std::vector<float> penalty(static_cast<size_t>(m));
  expect(hf_constrain(&g.view, &h.view, rows.data(), &u.view, &target.view, filter.data(),
                      weight.data(), penalty.data(), scratch.data(), nullptr) == HF_OK,
         what);
  for (int64_t i = 0; i < m; i++) {
    const auto r = static_cast<size_t>(i);
    std::vector<double> along;
    double square = 0;
    for (int64_t j = 0; j < k; j++) {
      const double drift = coefficient(h, rows[r], u, j) - static_cast<double>(target.at(i, j));
      square += drift * drift;
      along.push_back(static_cast<double>(weight[r]) * drift -
                      static_cast<double>(filter[r]) * coefficient(before, rows[r], u, j));
    }
    expect_close(square, penalty[r], square, what + ", penalty");
    for (int64_t t = 0; t < d; t++) {
      double expected = before.at(rows[r], t);
      for (int64_t j = 0; j < k; j++) expected += along[static_cast<size_t>(j)] * u.at(t, j);
      expect_close(expected, g.at(rows[r], t), 10, what + ", gradient");
    }
  }
  g.expect_padding_untouched(what);

  Padded ablated = h;
  expect(hf_ablate(&ablated.view, &u.view, scratch.data(), nullptr) == HF_OK, what);
  for (int64_t i = 0; i < n; i++) {
    std::vector<double> a;
    for (int64_t j = 0; j < k; j++) a.push_back(coefficient(h, i, u, j));
    for (int64_t t = 0; t < d; t++) {
      double expected = h.at(i, t);
      for (int64_t j = 0; j < k; j++) expected -= a[static_cast<size_t>(j)] * u.at(t, j);
      expect_close(expected, ablated.at(i, t), 10, what + ", ablation");
    }
  }
}

std::vector<double> log_softmax(const Padded &z, int64_t i) {
  std::vector<double> log_p;
  double largest = -INFINITY;
  for (int64_t j = 0; j < z.view.columns; j++) {
    log_p.push_back(z.at(i, j));
    largest = std::fmax(largest, log_p.back());
  }
  double sum = 0;
  for (const double x : log_p) sum += std::exp(x - largest);
  for (double &x : log_p) x -= largest + std::log(sum);
  return log_p;
}

void ce_kl(Padded z, const Padded &r, int32_t direction) {
  const int64_t n = z.view.rows;
  const int64_t v = z.view.columns;
  const std::string what = "rows of " + std::to_string(v);
  const Padded logits = z;
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < n; i++) labels.push_back(i % 4 == 3 ? -100 : (i * 7) % v);
  const std::vector<float> a = draw.weights(n);
  const std::vector<float> b = draw.weights(n);
  std::vector<float> ce(static_cast<size_t>(n));
  std::vector<float> kl(static_cast<size_t>(n));
  expect(hf_ce_kl(&z.view, &r.view, labels.data(), a.data(), b.data(), direction, ce.data(),
                  kl.data(), nullptr) == HF_OK,
         what);
  for (int64_t i = 0; i < n; i++) {
    const auto row = static_cast<size_t>(i);
    const std::vector<double> p = log_softmax(logits, i);
    const std::vector<double> q = log_softmax(r, i);
    double divergence = 0;
    for (size_t j = 0; j < p.size(); j++) {
      const double over = direction == HF_KL_FORWARD ? q[j] : p[j];
      const double other = direction == HF_KL_FORWARD ? p[j] : q[j];
      divergence += std::exp(over) == 0 ? 0 : std::exp(over) * (over - other);
    }
    expect_close(divergence, kl[row], divergence, what + ", divergence");
    const bool labelled = labels[row] >= 0;
    const double loss = labelled ? -p[static_cast<size_t>(labels[row])] : 0;
    expect_close(loss, ce[row], loss, what + ", cross entropy");
    for (int64_t j = 0; j < v; j++) {
      const auto t = static_cast<size_t>(j);
      const double model = std::exp(p[t]);
      const double onehot = j == labels[row] ? 1 : 0;
      double expected = labelled && a[row] != 0 ? a[row] * (model - onehot) : 0;
      if (b[row] != 0 && direction == HF_KL_FORWARD) {
        expected += b[row] * (model - std::exp(q[t]));
      } else if (b[row] != 0 && model != 0) {
        expected += b[row] * model * (p[t] - q[t] - divergence);
      }
      expect_close(expected, z.at(i, j), std::fabs(divergence), what + ", gradient");
    }
  }
  z.expect_padding_untouched(what);
}

void rows_of_logits(int32_t direction) {
  for (const int64_t v : {1, 3, 17, 64, 127, 1000, 5001}) {
    for (const float spread : {1.0F, 30.0F}) {
      ce_kl(draw.matrix(7, v, 2, spread), draw.matrix(7, v, 0, spread), direction);
    }
  }
  Padded z = draw.matrix(8, 1500, 1, 1);
  Padded r = draw.matrix(8, 1500, 1, 1);
  z.at(0, 1400) = 1e4F;
  z.at(1, 3) = -1e4F;
  r.at(2, 1499) = 1e4F;
  z.at(4, 0) = NAN;
  z.at(5, 1234) = INFINITY;
  r.at(7, 1) = NAN;
  for (int64_t j = 100; j < 1300; j++) {
    z.at(6, j) = -INFINITY;
    r.at(6, j) = -INFINITY;
  }
  ce_kl(z, r, direction);
}

void adamw() {
  const hf_adamw_step step = {3, 1e-2, 0.9, 0.95, 1e-8, 0.5};
  for (const bool options : {false, true}) {
    for (const int64_t c : {1, 31, 5000}) {
      const int64_t n = 6;
      const int64_t k = options ? 2 : 0;
      const int64_t padding = options ? 3 : 0;
      const std::string what = "adamw of " + std::to_string(c);
      Padded p = draw.matrix(n, c, padding, 1);
      Padded m = draw.matrix(n, c, padding, 1);
      Padded v = draw.matrix(n, c, padding, 1);
      for (float &x : v.values) x = std::fabs(x);
      const Padded g = draw.matrix(n, c, padding, 1);
      const Padded reference = draw.matrix(n, c, 1, 1);
      const Padded basis = draw.basis(n, 2, 0);
      std::vector<float> scratch(static_cast<size_t>(2 * c));
      const Padded p0 = p;
      const Padded m0 = m;
      const Padded v0 = v;
      hf_adamw_tensor t = {p.view, g.view, m.view, v.view, {}, {}, nullptr, 0.1, 0};
      if (options) {
        t.reference = reference.view;
        t.basis = basis.view;
        t.scratch = scratch.data();
        t.pull = 0.3;
      }
      expect(hf_adamw(&t, 1, &step, nullptr) == HF_OK, what);
      for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < c; j++) {
          double gradient = 0.5 * static_cast<double>(g.at(i, j));
          for (int64_t b = 0; b < k; b++) {
            double along = 0;
            for (int64_t s = 0; s < n; s++) along += 0.5 * g.at(s, j) * basis.at(s, b);
            gradient -= along * basis.at(i, b);
          }
          const double before = p0.at(i, j);
          const double first = 0.9 * m0.at(i, j) + 0.1 * gradient;
          const double second = 0.95 * v0.at(i, j) + 0.05 * gradient * gradient;
          double after = before * (1 - 1e-2 * 0.1);
          after -= 1e-2 * (first / (1 - 0.9 * 0.9 * 0.9)) /
                   (std::sqrt(second / (1 - 0.95 * 0.95 * 0.95)) + 1e-8);
          if (options) after -= 1e-2 * 0.3 * (before - reference.at(i, j));
          expect_close(after, p.at(i, j), 10, what);
          expect_close(first, m.at(i, j), 1, what + ", first moment");
          expect_close(second, v.at(i, j), 1, what + ", second moment");
        }
      }
      p.expect_padding_untouched(what);
    }
  }
}

void sum_of_squares() {
  std::vector<Padded> parts;
  parts.push_back(draw.matrix(1, 1, 0, 1));
  parts.push_back(draw.matrix(7, 5003, 3, 1));
  parts.push_back(draw.matrix(0, 5, 0, 1));
  for (int i = 0; i < 700; i++) parts.push_back(draw.matrix(2, 3, 0, 1));
  std::vector<hf_matrix> matrices;
  double expected = 0;
  for (const Padded &part : parts) {
    matrices.push_back(part.view);
    for (int64_t i = 0; i < part.view.rows; i++) {
      for (int64_t j = 0; j < part.view.columns; j++) {
        expected += static_cast<double>(part.at(i, j)) * static_cast<double>(part.at(i, j));
      }
    }
  }
  std::vector<double> partials(HF_NORM_PARTIALS);
  const auto sum = [&](int64_t count) {
    double result = -1;
    expect(hf_sum_of_squares(matrices.data(), count, partials.data(), &result, nullptr) == HF_OK,
           "sum of squares");
    return result;
  };
  expect_close(1, sum(static_cast<int64_t>(matrices.size())) / expected, 1, "sum of squares");
  expect(sum(0) == 0, "sum of no squares");
  parts[1].at(6, 5002) = 1e30F;
  expect(std::isfinite(sum(2)), "squares beyond float32");
  parts[1].at(6, 5002) = NAN;
  expect(std::isnan(sum(2)), "sum of squares with NaN");
}

void expect_refused(int32_t status, int32_t wanted, const char *named) {
  expect(status == wanted && std::strstr(hf_last_error(), named) != nullptr,
         std::string("refusal of ") + named + ": " + hf_last_error());
}

void bad_arguments() {
  const Padded h = draw.matrix(4, 8, 0, 1);
  const Padded u = draw.basis(8, 2, 0);
  const Padded c = draw.matrix(4, 2, 0, 1);
  std::vector<Line> room = subspace_scratch(u);
  void *scratch = room.data();
  const auto project = [&](const hf_matrix &a, const hf_matrix &b) {
    return hf_project(&a, nullptr, &b, &c.view, scratch, nullptr);
  };
  const auto with = [](hf_matrix m, auto edit) {
    edit(m);
    return m;
  };
  expect_refused(hf_project(nullptr, nullptr, &u.view, &c.view, scratch, nullptr), HF_INVALID, "h");
  expect_refused(project(with(h.view, [](hf_matrix &m) { m.data = nullptr; }), u.view), HF_INVALID,
                 "null");
  expect_refused(project(with(h.view, [](hf_matrix &m) { m.rows = -1; }), u.view), HF_INVALID,
                 "-1 rows");
  expect_refused(project(with(h.view, [](hf_matrix &m) { m.stride = 7; }), u.view), HF_INVALID,
                 "stride 7");
  expect_refused(
      project(with(h.view, [](hf_matrix &m) { m.rows = m.stride = INT64_MAX / 2; }), u.view),
      HF_INVALID, "overflow");
  expect_refused(
      project(with(h.view, [](hf_matrix &m) { m.data = static_cast<char *>(m.data) + 1; }), u.view),
      HF_INVALID, "misaligned");
  expect_refused(project(with(h.view, [](hf_matrix &m) { m.dtype = HF_BFLOAT16; }), u.view),
                 HF_UNSUPPORTED, "float32");
  expect_refused(project(with(h.view, [](hf_matrix &m) { m.dtype = 42; }), u.view), HF_INVALID,
                 "42");
  expect_refused(project(h.view, with(u.view, [](hf_matrix &m) { m.columns = m.stride = 9; })),
                 HF_INVALID, "8 x 9");
  const Padded narrow = draw.basis(7, 2, 0);
  expect_refused(project(h.view, narrow.view), HF_INVALID, "7 x 2");
  expect_refused(hf_project(&h.view, nullptr, &u.view, &c.view, nullptr, nullptr),
                 hf_subspace_scratch(8, 2) > 0 ? HF_INVALID : HF_OK, "");
  expect(hf_subspace_scratch(4, 5) < 0, "scratch of more directions than dimensions");
  expect(hf_subspace_scratch(-1, 0) < 0, "scratch of a negative width");
  const hf_adamw_step never = {0, 1e-2, 0.9, 0.95, 1e-8, 1};
  expect_refused(hf_adamw(nullptr, 0, &never, nullptr), HF_INVALID, "step 0");
  expect_refused(hf_adamw(nullptr, 1, &never, nullptr), HF_INVALID, "null");
  expect_refused(hf_sum_of_squares(nullptr, 0, nullptr, nullptr, nullptr), HF_INVALID, "partials");
  expect_refused(hf_set_num_threads(-1), HF_INVALID, "-1");
  expect_refused(hf_allocate(-1, nullptr), HF_INVALID, "-1");
  expect_refused(hf_copy(nullptr, nullptr, 1, nullptr), HF_INVALID, "1 bytes");
}

void memory() {
  void *device = nullptr;
  expect(hf_allocate(1000, &device) == HF_OK && device != nullptr, "allocation");
  expect(reinterpret_cast<uintptr_t>(device) % 256 == 0, "alignment");
  const std::vector<char> sent(1000, 'x');
  std::vector<char> received(1000);
  expect(hf_copy(device, sent.data(), 1000, nullptr) == HF_OK, "copy there");
  expect(hf_copy(received.data(), device, 1000, nullptr) == HF_OK, "copy back");
  expect(sent == received, "what was copied");
  expect(hf_release(device) == HF_OK && hf_release(nullptr) == HF_OK, "release");
}

}  // namespace

int main() {
  expect(hf_abi_version() == HF_ABI_VERSION, "version");
  std::printf("%s\n", hf_description());
  if (hf_available() != HF_OK) {
    std::printf("skipped: %s\n", hf_last_error());
    return 77;
  }
  memory();
  for (const auto &shape : {std::array<int64_t, 3>{1, 1, 1},
                            {3, 17, 1},
                            {9, 31, 3},
                            {6, 64, 16},
                            {5, 127, 17},
                            {4, 1000, 33},
                            {2, 300, 300}}) {
    subspace(shape[0], shape[1], shape[2]);
  }
  rows_of_logits(HF_KL_FORWARD);
  rows_of_logits(HF_KL_REVERSE);
  adamw();
  sum_of_squares();
  bad_arguments();
  std::printf(failures == 0 ? "passed\n" : "%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
