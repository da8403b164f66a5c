// The gradient norm, conversions between types, and memory, whichever library this is linked with.
#include "check.hpp"

namespace {

Random draw;

void sum_of_squares() {
  std::vector<Padded> parts;
  parts.reserve(4000);
  parts.push_back(draw.matrix(1, 1, 0, 1));
  parts.push_back(draw.matrix(7, 5003, 3, 1));
  parts.push_back(draw.matrix(0, 5, 0, 1));
  parts.push_back(draw.matrix(9, 1777, 1, 1, HF_BFLOAT16));
  parts.push_back(draw.matrix(1, 64000, 0, 1, HF_FLOAT16));
  for (int i = 0; i < (few() ? 900 : 3000); i++) parts.push_back(draw.matrix(2, 3, 0, 1, i % 3));
  std::vector<hf_matrix> matrices;
  double expected = 0;
  for (const Padded &part : parts) {
    matrices.push_back(part.view);
    for (int64_t i = 0; i < part.view.rows; i++) {
      for (int64_t j = 0; j < part.view.columns; j++) expected += part.at(i, j) * part.at(i, j);
    }
  }
  const Guarded partials(HF_NORM_PARTIALS * sizeof(double));
  const Guarded result(sizeof(double));
  const auto sum = [&](int64_t count) {
    *result.as<double>() = -1;
    expect(hf_sum_of_squares(matrices.data(), count, partials.as<double>(), result.as<double>(),
                             nullptr) == HF_OK,
           "sum of squares");
    return *result.as<double>();
  };
  expect_close(1, sum(static_cast<int64_t>(matrices.size())) / expected, 1, "sum of squares");
  expect(sum(0) == 0, "sum of no squares");
  if (few()) return;
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
  return run_tests([] {
    memory();
    conversions(HF_BFLOAT16);
    conversions(HF_FLOAT16);
    sum_of_squares();
  });
}
