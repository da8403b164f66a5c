// The little that the native tests need: comparisons that say where they failed, and random data.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "holdfast.h"

inline int failures = 0;

inline void expect(bool good, const std::string &what) {
  if (!good && ++failures <= 10) {
    std::fprintf(stderr, "FAILED %s\n", what.c_str());
  }
}

// NaN is equal to NaN, an infinity to itself; else within `tolerance` of the larger of 1 and
// `scale`.
inline void expect_close(double expected, double actual, double scale, const std::string &what) {
  const bool same = expected == actual || (std::isnan(expected) && std::isnan(actual));
  const double tolerance = 1e-5 * (scale > 1 ? scale : 1);
  expect(same || std::fabs(expected - actual) <= tolerance,
         what + ": expected " + std::to_string(expected) + ", got " + std::to_string(actual));
}

// A matrix with padding between its rows, filled with a mark that kernels must not touch.
struct Padded {
  static constexpr float kMark = 12345.0F;

  Padded(int64_t rows, int64_t columns, int64_t padding)
      : values(static_cast<size_t>(rows * (columns + padding)), kMark),
        view{values.data(), rows, columns, columns + padding, HF_FLOAT32} {}

  Padded(const Padded &other) : values(other.values), view(other.view) {
    view.data = values.data();
  }
  Padded &operator=(const Padded &) = delete;

  float &at(int64_t i, int64_t j) { return values[static_cast<size_t>(i * view.stride + j)]; }
  float at(int64_t i, int64_t j) const { return values[static_cast<size_t>(i * view.stride + j)]; }

  void expect_padding_untouched(const std::string &what) const {
    for (int64_t i = 0; i < view.rows; i++) {
      for (int64_t j = view.columns; j < view.stride; j++) {
        expect(at(i, j) == kMark, what + ": wrote beyond a row");
      }
    }
  }

  std::vector<float> values;
  hf_matrix view;
};

struct Random {
  std::mt19937 generator{7};
  std::normal_distribution<float> normal;

  Padded matrix(int64_t rows, int64_t columns, int64_t padding, float spread) {
    Padded m(rows, columns, padding);
    for (int64_t i = 0; i < rows; i++) {
      for (int64_t j = 0; j < columns; j++) {
        m.at(i, j) = spread * normal(generator);
      }
    }
    return m;
  }

  // Columns of length about 1: that they are orthogonal matters to no formula here.
  Padded basis(int64_t d, int64_t k, int64_t padding) {
    return matrix(d, k, padding, 1 / std::sqrt(static_cast<float>(d)));
  }

  std::vector<float> weights(int64_t n) {
    std::vector<float> all(static_cast<size_t>(n));
    for (size_t i = 0; i < all.size(); i++) {
      all[i] = i % 3 == 0 ? 0.0F : std::fabs(normal(generator));
    }
    return all;
  }
};

struct alignas(64) Line {
  char bytes[64];
};

inline std::vector<Line> subspace_scratch(const Padded &u) {
  const int64_t bytes = hf_subspace_scratch(u.view.rows, u.view.columns);
  return std::vector<Line>(static_cast<size_t>(bytes / 64 + 1));
}
