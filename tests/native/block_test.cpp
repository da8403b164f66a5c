// The pieces of a decoder's block against formulas in double precision, whichever library this is
// linked with.
#include "check.hpp"

namespace {

Random draw;

// What is left of a value where models round on their way.
double rounded(int32_t dtype, double x) {
  return dtype == HF_FLOAT32 ? x : decode_half(dtype, encode_half(dtype, x));
}

// A rounding on the way may fall to the other side where the sums before it differ in their last
// place: one more place of the result.
void expect_near(double expected, double actual, double scale, const std::string &what,
                 int32_t dtype) {
  expect_close(expected, actual, scale + 2e5 * half_place(dtype) * std::fabs(expected), what,
               dtype);
}

void norm(int64_t n, int64_t d, int64_t padding, bool one_plus, int32_t dtype) {
  const std::string what = text("norm of", {n, d}, dtype) + (one_plus ? ", 1 + w" : "");
  const Padded x = draw.matrix(n, d, padding, 2, dtype);
  const Padded w = draw.matrix(1, d, 0, 1, dtype);
  const Padded y = draw.matrix(n, d, padding / 2, 0, dtype);
  const Guarded inverse(static_cast<size_t>(n) * 4);
  const double eps = 1e-3;
  expect(
      hf_rms_norm(&x.view, &w.view, eps, one_plus, &y.view, inverse.as<float>(), nullptr) == HF_OK,
      what + hf_last_error());
  const Padded g = draw.matrix(n, d, padding, 1, dtype);
  Padded dx = g;
  const Guarded dw(static_cast<size_t>(d) * 4);
  const Guarded scratch = scratch_of(hf_rms_norm_scratch(n, d));
  expect(hf_rms_norm_backward(&x.view, &w.view, one_plus, inverse.as<float>(), &g.view, &dx.view,
                              dw.as<float>(), scratch.data(), nullptr) == HF_OK,
         what + hf_last_error());
  std::vector<double> gain(static_cast<size_t>(d));
  for (int64_t i = 0; i < n; i++) {
    double square = 0;
    for (int64_t j = 0; j < d; j++) square += x.at(i, j) * x.at(i, j);
    const double r = 1 / std::sqrt(square / static_cast<double>(d) + eps);
    expect_close(r, static_cast<double>(inverse.as<float>()[i]), r, what + ", inverse");
    double dot = 0;
    for (int64_t j = 0; j < d; j++) {
      const double v = w.at(0, j) + (one_plus ? 1 : 0);
      const double hat = x.at(i, j) * r;
      expect_near((one_plus ? hat : rounded(dtype, hat)) * v, y.at(i, j), 1, what, dtype);
      dot += g.at(i, j) * v * hat;
      gain[static_cast<size_t>(j)] += g.at(i, j) * hat;
    }
    for (int64_t j = 0; j < d; j++) {
      const double v = w.at(0, j) + (one_plus ? 1 : 0);
      const double hat = x.at(i, j) * r;
      expect_close(r * (g.at(i, j) * v - hat * dot / static_cast<double>(d)), dx.at(i, j), 10,
                   what + ", back", dtype);
    }
  }
  for (int64_t j = 0; j < d; j++) {
    expect_close(gain[static_cast<size_t>(j)], static_cast<double>(dw.as<float>()[j]),
                 std::sqrt(static_cast<double>(n)), what + ", gain");
  }
  y.expect_padding_untouched(what);
  dx.expect_padding_untouched(what);
  // In place, and without what is optional.
  Padded again = g;
  expect(hf_rms_norm_backward(&x.view, &w.view, one_plus, inverse.as<float>(), &again.view,
                              &again.view, nullptr, nullptr, nullptr) == HF_OK,
         what);
  const auto bytes = static_cast<size_t>(n * dx.view.stride) * element_bytes(dtype);
  expect(std::memcmp(again.memory.data(), dx.memory.data(), bytes) == 0, what + ", in place");
}

void rotation(int64_t n, int64_t period, int64_t heads, int64_t head, int64_t width,
              int64_t padding, int32_t dtype) {
  const std::string what = text("rotation of", {n, period, heads, head, width}, dtype);
  const Padded before = draw.matrix(n, heads * head, padding, 1, dtype);
  const Padded c = draw.matrix(period, width, padding, 1, dtype);
  const Padded s = draw.matrix(period, width, padding / 2, 1, dtype);
  for (const int32_t backward : {0, 1}) {
    Padded x = before;
    expect(hf_rotate(&x.view, head, &c.view, &s.view, backward, nullptr) == HF_OK,
           what + hf_last_error());
    for (int64_t i = 0; i < n; i++) {
      for (int64_t j = 0; j < heads * head; j++) {
        const int64_t at = j % head;
        if (at >= width) {
          expect(x.at(i, j) == before.at(i, j), what + ": turned what does not turn");
          continue;
        }
        const int64_t other = (at + width / 2) % width;
        const double kept = before.at(i, j) * c.at(i % period, at);
        const double crossed =
            before.at(i, j - at + other) * s.at(i % period, backward ? other : at);
        expect_near(rounded(dtype, kept) + rounded(dtype, crossed), x.at(i, j),
                    1 + 2e5 * half_place(dtype) * (std::fabs(kept) + std::fabs(crossed)), what,
                    dtype);
      }
    }
    x.expect_padding_untouched(what);
  }
}

double activation_of(int32_t activation, double a, double *slope) {
  if (activation == HF_SILU) {
    const double sigmoid = 1 / (1 + std::exp(-a));
    *slope = sigmoid * (1 + a * (1 - sigmoid));
    return a * sigmoid;
  }
  const double beta = std::sqrt(2 / std::acos(-1.0));
  const double t = std::tanh(beta * (a + 0.044715 * a * a * a));
  *slope = (1 + t) / 2 + a / 2 * (1 - t * t) * beta * (1 + 3 * 0.044715 * a * a);
  return a / 2 * (1 + t);
}

void gate(int64_t n, int64_t m, int64_t padding, int32_t activation, int32_t dtype) {
  const std::string what = text("gate", {activation, n, m}, dtype);
  Padded a = draw.matrix(n, m, padding, 4, dtype);
  const Padded b = draw.matrix(n, m, padding / 2, 1, dtype);
  const Padded g = draw.matrix(n, m, padding, 1, dtype);
  const Padded y = draw.matrix(n, m, 0, 0, dtype);
  // Far out, where an exponential would overflow.
  a.set(0, 0, 100);
  if (m > 1) a.set(n - 1, m - 1, -100);
  expect(hf_gate(&a.view, &b.view, activation, &y.view, nullptr) == HF_OK, what + hf_last_error());
  Padded da = a;
  Padded db = b;
  expect(hf_gate_backward(&da.view, &db.view, activation, &g.view, &da.view, &db.view, nullptr) ==
             HF_OK,
         what + hf_last_error());
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < m; j++) {
      double slope = 0;
      const double value = activation_of(activation, a.at(i, j), &slope);
      expect_near(rounded(dtype, value) * b.at(i, j), y.at(i, j), std::fabs(value), what, dtype);
      expect_close(g.at(i, j) * b.at(i, j) * slope, da.at(i, j), 4, what + ", gate back", dtype);
      expect_close(g.at(i, j) * value, db.at(i, j), std::fabs(value), what + ", up back", dtype);
    }
  }
  da.expect_padding_untouched(what);
  db.expect_padding_untouched(what);
}

// Nothing leaves its row, and nothing is hidden.
void not_finite() {
  Padded x = draw.matrix(3, 5, 0, 1);
  const Padded w = draw.matrix(1, 5, 0, 1);
  const Padded y = draw.matrix(3, 5, 0, 0);
  x.set(1, 2, NAN);
  expect(hf_rms_norm(&x.view, &w.view, 1e-6, 0, &y.view, nullptr, nullptr) == HF_OK, "norm of NaN");
  for (int64_t j = 0; j < 5; j++) {
    expect(std::isfinite(y.at(0, j)) && std::isnan(y.at(1, j)) && std::isfinite(y.at(2, j)),
           "NaN in a norm");
  }
  for (const int32_t activation : {HF_SILU, HF_GELU_TANH}) {
    expect(hf_gate(&x.view, &x.view, activation, &y.view, nullptr) == HF_OK, "gate of NaN");
    expect(std::isnan(y.at(1, 2)) && std::isfinite(y.at(1, 1)), "NaN in a gate");
  }
}

void refused() {
  const Padded x = draw.matrix(4, 6, 0, 1);
  const Padded w = draw.matrix(1, 6, 0, 1);
  const Padded odd = draw.matrix(4, 3, 0, 1);
  const Padded wide = draw.matrix(4, 4, 0, 1);
  const Padded three = draw.matrix(3, 2, 0, 1);
  const Padded half = draw.matrix(4, 6, 0, 1, HF_BFLOAT16);
  const auto expect_refused = [](int32_t status, const char *named) {
    expect(status == HF_INVALID && std::strstr(hf_last_error(), named) != nullptr,
           std::string("refusal of ") + named + ": " + hf_last_error());
  };
  expect_refused(hf_rms_norm(&x.view, &odd.view, 1e-6, 0, &x.view, nullptr, nullptr), "w");
  expect_refused(hf_rms_norm(&x.view, &w.view, -1, 0, &x.view, nullptr, nullptr), "eps");
  expect_refused(hf_rms_norm(&x.view, &w.view, 0, 2, &x.view, nullptr, nullptr), "one_plus");
  expect_refused(hf_rms_norm(&x.view, &w.view, 0, 0, &half.view, nullptr, nullptr), "y");
  expect_refused(hf_rms_norm_backward(&x.view, &w.view, 0, nullptr, &x.view, &x.view, nullptr,
                                      nullptr, nullptr),
                 "inverse");
  expect_refused(static_cast<int32_t>(-hf_rms_norm_scratch(-1, 4)), "-1 x 4");
  expect_refused(hf_rotate(&x.view, 4, &wide.view, &wide.view, 0, nullptr), "head");
  expect_refused(hf_rotate(&x.view, 3, &odd.view, &odd.view, 0, nullptr), "c: 3");
  expect_refused(hf_rotate(&x.view, 2, &three.view, &three.view, 0, nullptr), "c: 3 rows");
  expect_refused(hf_gate(&x.view, &half.view, HF_SILU, &x.view, nullptr), "b");
  expect_refused(hf_gate(&x.view, &x.view, 9, &x.view, nullptr), "activation");
  expect_refused(hf_gate_backward(&x.view, &x.view, 0, &x.view, nullptr, &x.view, nullptr), "da");
}

}  // namespace

int main() {
  return run_tests([] {
    for (const int32_t dtype : {HF_FLOAT32, HF_BFLOAT16, HF_FLOAT16}) {
      for (const int64_t size : {1, 3, 17, 64, 127, 1000, 2304}) {
        if (few() && size > 127) continue;
        norm(5, size, size % 2 == 0 ? 0 : 3, false, dtype);
        norm(3, size, 8, true, dtype);
        for (const int32_t activation : {HF_SILU, HF_GELU_TANH}) {
          gate(3, size, size % 2 == 0 ? 8 : 3, activation, dtype);
        }
      }
      norm(150, 24, 0, false, dtype);
      norm(0, 24, 0, false, dtype);
      rotation(6, 6, 2, 8, 8, 0, dtype);
      rotation(6, 3, 3, 10, 6, 5, dtype);
      rotation(4, 1, 1, 64, 64, 0, dtype);
      rotation(2, 2, 2, 2100, 2100, 0, dtype);
      rotation(0, 1, 1, 2, 2, 0, dtype);
    }
    not_finite();
    refused();
  });
}
