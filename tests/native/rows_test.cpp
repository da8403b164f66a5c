// Rows of logits against their formulas in double precision, whichever library this is linked with.
#include "check.hpp"

namespace {

Random draw;

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
    if (few() && v > 127) continue;
    ce_kl(draw.matrix(7, v, 2, 1, dtype), draw.matrix(7, v, 0, 1, dtype), {0, 0, direction}, false);
    ce_kl(draw.matrix(7, v, v % 3, 30, dtype), draw.matrix(7, v, 1, 30, dtype), {0, 0, direction},
          true);
    ce_kl(draw.matrix(5, v, 8, 2, dtype), draw.matrix(5, v, 0, 2, dtype), {0.1, 0, direction},
          false);
    ce_kl(draw.matrix(5, v, 0, 40, dtype), draw.matrix(5, v, 1, 40, dtype), {0.25, 30, direction},
          true);
  }
  broken_logits(direction, dtype);
  if (few()) return;
  ce_kl(draw.matrix(3, 32768, 0, 3, dtype), draw.matrix(3, 32768, 8, 3, dtype), {1, 5, direction},
        false);
  ce_kl(draw.matrix(1, 262144, 0, 10, dtype), draw.matrix(1, 262144, 0, 10, dtype),
        {0.1, 30, direction}, false);
}

}  // namespace

int main() {
  return run_tests([] {
    for (const int32_t dtype : {HF_FLOAT32, HF_BFLOAT16, HF_FLOAT16}) {
      rows_of_logits(HF_KL_FORWARD, dtype);
      rows_of_logits(HF_KL_REVERSE, dtype);
    }
  });
}
