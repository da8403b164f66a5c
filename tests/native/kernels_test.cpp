// The C interface against formulas in double precision, whichever library this is linked with.
#include "check.hpp"

namespace {

Random draw;

const char *name_of(int32_t dtype) {
  return dtype == HF_FLOAT32 ? "float32" : dtype == HF_BFLOAT16 ? "bfloat16" : "float16";
}

std::string text(const char *what, std::initializer_list<int64_t> sizes, int32_t dtype) {
  std::string all = what;
  for (const int64_t size : sizes) all += " " + std::to_string(size);
  return all + " " + name_of(dtype);
}

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

// Every second row, last first.
std::vector<int64_t> some_rows(int64_t n) {
  std::vector<int64_t> rows;
  for (int64_t i = n - 1; i >= 0; i -= 2) rows.push_back(i);
  return rows;
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
                              {2, 8192, 24, 0}}) {
      subspace(shape[0], shape[1], shape[2], shape[3], dtype, HF_FLOAT32);
    }
    subspace(6, 128, 16, 0, dtype, dtype);
    subspace(5, 99, 3, 1, dtype, dtype);
  }
}

// What the loss sees of row i of the logits, as log-probabilities; `capped` keeps the logits.
std::vector<double> log_softmax(const Padded &z, int64_t i, double cap,
                                std::vector<double> *capped) {
  std::vector<double> log_p;
  double largest = -INFINITY;
  for (int64_t j = 0; j < z.view.columns; j++) {
    const double x = z.at(i, j);
    log_p.push_back(cap != 0 ? cap * std::tanh(x / cap) : x);
    largest = std::fmax(largest, log_p.back());
  }
  if (capped != nullptr) *capped = log_p;
  double sum = 0;
  for (const double x : log_p) sum += std::exp(x - largest);
  for (double &x : log_p) x -= largest + std::log(sum);
  return log_p;
}

void ce_kl(Padded z, const Padded &r, const hf_row_loss &loss, bool subset) {
  const int64_t v = z.view.columns;
  const int32_t dtype = z.view.dtype;
  const std::string what =
      text("rows of", {v, loss.direction, loss.label_smoothing != 0, loss.soft_cap != 0}, dtype);
  const Padded logits = z;
  std::vector<int64_t> rows = some_rows(z.view.rows);
  if (!subset) {
    rows.clear();
    for (int64_t i = 0; i < z.view.rows; i++) rows.push_back(i);
  }
  const auto m = static_cast<int64_t>(rows.size());
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < m; i++) labels.push_back(i % 4 == 3 ? -100 : (v - 1 + i * 7) % v);
  const std::vector<float> a = draw.weights(m);
  std::vector<float> b = draw.weights(m);
  std::swap(b.front(), b.back());
  const Guarded ce(static_cast<size_t>(m) * 4);
  const Guarded kl(static_cast<size_t>(m) * 4);
  const Guarded index = guarded(rows);
  const Guarded scratch = scratch_of(hf_ce_kl_scratch(m, v));
  expect(hf_ce_kl(&z.view, &r.view, subset ? index.as<int64_t>() : nullptr, m,
                  guarded(labels).as<int64_t>(), guarded(a).as<float>(), guarded(b).as<float>(),
                  &loss, ce.as<float>(), kl.as<float>(), scratch.data(), nullptr) == HF_OK,
         what);
  for (int64_t i = 0; i < m; i++) {
    const auto row = static_cast<size_t>(i);
    std::vector<double> capped;
    const std::vector<double> p = log_softmax(logits, rows[row], loss.soft_cap, &capped);
    const std::vector<double> q = log_softmax(r, rows[row], loss.soft_cap, nullptr);
    double divergence = 0;
    double all = 0;
    for (size_t j = 0; j < p.size(); j++) {
      const double over = loss.direction == HF_KL_FORWARD ? q[j] : p[j];
      const double other = loss.direction == HF_KL_FORWARD ? p[j] : q[j];
      divergence += std::exp(over) == 0 ? 0 : std::exp(over) * (over - other);
      all -= p[j];
    }
    expect_close(divergence, kl.as<float>()[i], divergence, what + ", divergence");
    const bool labelled = labels[row] >= 0;
    double cross_entropy = labelled ? -p[static_cast<size_t>(labels[row])] : 0;
    if (labelled && loss.label_smoothing != 0) {
      cross_entropy = (1 - loss.label_smoothing) * cross_entropy +
                      loss.label_smoothing * all / static_cast<double>(v);
    }
    expect_close(cross_entropy, ce.as<float>()[i], cross_entropy, what + ", cross entropy");
    for (int64_t j = 0; j < v; j++) {
      const auto t = static_cast<size_t>(j);
      const double model = std::exp(p[t]);
      const double wanted = (j == labels[row] ? 1 - loss.label_smoothing : 0) +
                            loss.label_smoothing / static_cast<double>(v);
      double expected = labelled && a[row] != 0 ? a[row] * (model - wanted) : 0;
      if (b[row] != 0 && loss.direction == HF_KL_FORWARD) {
        expected += b[row] * (model - std::exp(q[t]));
      } else if (b[row] != 0 && model != 0) {
        expected += b[row] * model * (p[t] - q[t] - divergence);
      }
      const bool off = b[row] == 0 && (!labelled || a[row] == 0);
      if (loss.soft_cap != 0 && !off) {
        expected *= 1 - capped[t] / loss.soft_cap * (capped[t] / loss.soft_cap);
      }
      expect_close(expected, z.at(rows[row], j), std::fabs(divergence), what + ", gradient", dtype);
    }
  }
  for (int64_t i = 0; subset && i < z.view.rows; i++) {
    if ((z.view.rows - 1 - i) % 2 == 0) continue;
    for (int64_t j = 0; j < v; j++) {
      const double x = logits.at(i, j);
      expect(z.at(i, j) == x || std::isnan(x), what + ": wrote a row that was not selected");
    }
  }
  z.expect_padding_untouched(what);
}

void broken_logits(int32_t direction, int32_t dtype) {
  Padded z = draw.matrix(8, 1500, 1, 1, dtype);
  Padded r = draw.matrix(8, 1500, 1, 1, dtype);
  z.set(0, 1400, 1e4);
  z.set(1, 3, -1e4);
  r.set(2, 1499, 1e4);
  z.set(4, 0, NAN);
  z.set(5, 1234, INFINITY);
  r.set(7, 1, NAN);
  for (int64_t j = 100; j < 1300; j++) {
    z.set(6, j, -INFINITY);
    r.set(6, j, -INFINITY);
  }
  ce_kl(z, r, {0, 0, direction}, false);
}

void rows_of_logits(int32_t direction, int32_t dtype) {
  for (const int64_t v : {1, 3, 17, 31, 64, 127, 1000, 5001}) {
    ce_kl(draw.matrix(7, v, 2, 1, dtype), draw.matrix(7, v, 0, 1, dtype), {0, 0, direction}, false);
    ce_kl(draw.matrix(7, v, v % 3, 30, dtype), draw.matrix(7, v, 1, 30, dtype), {0, 0, direction},
          true);
    ce_kl(draw.matrix(5, v, 8, 2, dtype), draw.matrix(5, v, 0, 2, dtype), {0.1, 0, direction},
          false);
    ce_kl(draw.matrix(5, v, 0, 40, dtype), draw.matrix(5, v, 1, 40, dtype), {0.25, 30, direction},
          true);
  }
  ce_kl(draw.matrix(3, 32768, 0, 3, dtype), draw.matrix(3, 32768, 8, 3, dtype), {1, 5, direction},
        false);
  ce_kl(draw.matrix(1, 262144, 0, 10, dtype), draw.matrix(1, 262144, 0, 10, dtype),
        {0.1, 30, direction}, false);
  broken_logits(direction, dtype);
}

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
      adamw(6, c, c % 2 == 0 ? 0 : 3, variant);
    }
    adamw(37, 40, 8, variant);
  }
}

// Many tensors at once are what they are one by one, whatever their kind.
void adamw_of_many() {
  const hf_adamw_step step = {1, 1e-2, 0.9, 0.95, 1e-8, 1};
  constexpr int kCount = 1500;
  std::vector<Padded> owned;
  owned.reserve(10 * kCount);
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

void sum_of_squares() {
  std::vector<Padded> parts;
  parts.reserve(4000);
  parts.push_back(draw.matrix(1, 1, 0, 1));
  parts.push_back(draw.matrix(7, 5003, 3, 1));
  parts.push_back(draw.matrix(0, 5, 0, 1));
  parts.push_back(draw.matrix(9, 1777, 1, 1, HF_BFLOAT16));
  parts.push_back(draw.matrix(1, 64000, 0, 1, HF_FLOAT16));
  for (int i = 0; i < 3000; i++) parts.push_back(draw.matrix(2, 3, 0, 1, i % 3));
  std::vector<hf_matrix> matrices;
  double expected = 0;
  for (const Padded &part : parts) {
    matrices.push_back(part.view);
    for (int64_t i = 0; i < part.view.rows; i++) {
      for (int64_t j = 0; j < part.view.columns; j++) expected += part.at(i, j) * part.at(i, j);
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
  parts[1].set(6, 5002, 1e30);
  expect(std::isfinite(sum(2)), "squares beyond float32");
  parts[1].set(6, 5002, NAN);
  expect(std::isnan(sum(2)), "sum of squares with NaN");
  parts[1].set(6, 5002, 0);
  parts[4].set(0, 63999, -INFINITY);
  expect(std::isinf(sum(5)), "sum of squares with infinity");
}

// Conversions alone: of every 16-bit number, as a gradient that becomes its own first moment, and
// of what lies between it and its neighbour, as a master whose rounded copy is the parameter.
void conversions(int32_t dtype) {
  constexpr int64_t kCodes = 1 << 16;
  const hf_adamw_step step = {1, 0, 0, 0.9, 1, 1};
  Padded codes(1, kCodes, 0, dtype);
  Padded between(1, kCodes, 0, HF_FLOAT32);
  for (int64_t i = 0; i < kCodes; i++) {
    const auto code = static_cast<uint16_t>(i);
    std::memcpy(codes.memory.data() + 2 * i, &code, sizeof code);
    const double next = decode_half(dtype, static_cast<uint16_t>(i + 1));
    const double gap = std::isfinite(next) ? next - codes.at(0, i) : 0;
    const std::array<double, 3> parts = {0.5, 0.25, 0.75};
    between.set(0, i, codes.at(0, i) + parts[static_cast<size_t>(i % 3)] * gap);
  }
  const Padded zeros = draw.matrix(1, kCodes, 0, 0);
  const Padded ignored = zeros;
  const Padded widened = zeros;
  const Padded moments = zeros;
  const Padded narrowed(1, kCodes, 0, dtype);
  std::array<hf_adamw_tensor, 2> tensors = {};
  tensors[0].parameter = ignored.view;
  tensors[0].gradient = codes.view;
  tensors[0].first_moment = widened.view;
  tensors[0].second_moment = moments.view;
  tensors[1].parameter = narrowed.view;
  tensors[1].master = between.view;
  tensors[1].gradient = zeros.view;
  tensors[1].first_moment = zeros.view;
  tensors[1].second_moment = zeros.view;
  expect(hf_adamw(tensors.data(), 2, &step, nullptr, nullptr) == HF_OK, "conversions");
  for (int64_t i = 0; i < kCodes; i++) {
    expect_close(codes.at(0, i), widened.at(0, i), 0, text("widening", {i}, dtype));
    const double x = between.at(0, i);
    const double expected = decode_half(dtype, encode_half(dtype, x));
    const double actual = narrowed.at(0, i);
    const bool tiny = std::fabs(x) < 0x1p-126 && std::fabs(actual) <= 0x1p-126;  // may be 0
    expect(expected == actual || tiny || (std::isnan(expected) && std::isnan(actual)),
           text("narrowing", {i}, dtype) + ": " + std::to_string(x));
  }
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
  std::printf("%s\n", hf_description());
  if (hf_available() != HF_OK) {
    std::printf("skipped: %s\n", hf_last_error());
    return 77;
  }
  memory();
  subspaces();
  conversions(HF_BFLOAT16);
  conversions(HF_FLOAT16);
  for (const int32_t dtype : {HF_FLOAT32, HF_BFLOAT16, HF_FLOAT16}) {
    rows_of_logits(HF_KL_FORWARD, dtype);
    rows_of_logits(HF_KL_REVERSE, dtype);
  }
  adamw();
  adamw_of_many();
  sum_of_squares();
  std::printf(failures == 0 ? "passed\n" : "%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
