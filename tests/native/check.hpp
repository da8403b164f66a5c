// The little that the native tests need: comparisons that say where they failed, memory that faults
// where a kernel leaves it, and random data of every dtype.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "halves.hpp"
#include "holdfast.h"

// Lets the library's kernels reach memory of the host, page by page, or no longer: memory_host.cpp,
// memory_cuda.cpp.
void share_memory(void *start, size_t bytes);
void unshare_memory(void *start);

inline int failures = 0;

// Whether only the smaller shapes are wanted, as under sanitizers.
inline bool few() {
  static const bool wanted = std::getenv("HOLDFAST_TEST_FEW") != nullptr;
  return wanted;
}

inline void expect(bool good, const std::string &what) {
  if (!good && ++failures <= 10) {
    std::fprintf(stderr, "FAILED %s\n", what.c_str());
  }
}

// NaN is equal to NaN, an infinity to itself; else within one rounding of the dtype, and 1e-5 of
// the larger of 1 and `scale`.
inline void expect_close(double expected, double actual, double scale, const std::string &what,
                         int32_t dtype = HF_FLOAT32) {
  const bool same = expected == actual || (std::isnan(expected) && std::isnan(actual));
  const double tolerance = 1e-5 * (scale > 1 ? scale : 1) + half_place(dtype) * std::fabs(expected);
  expect(same || std::fabs(expected - actual) <= 1.01 * tolerance,
         what + ": expected " + std::to_string(expected) + ", got " + std::to_string(actual));
}

// Memory that ends where a page without access begins: a read or a write beyond it ends the
// program, sanitizer or not.
class Guarded {
 public:
  explicit Guarded(size_t bytes, size_t alignment = 1) : bytes_(bytes) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    mapped_ = (bytes + page - 1) / page * page + page;
    void *memory =
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    start_ = static_cast<char *>(memory);
    mprotect(start_ + mapped_ - page, page, PROT_NONE);
    data_ = start_ + mapped_ - page - (bytes + alignment - 1) / alignment * alignment;
    if (mapped_ > page) share_memory(start_, mapped_ - page);
    shared_ = mapped_ > page;
  }
  Guarded(const Guarded &other) : Guarded(other.bytes_) { std::memcpy(data_, other.data_, bytes_); }
  Guarded &operator=(const Guarded &) = delete;
  ~Guarded() {
    if (shared_) unshare_memory(start_);
    munmap(start_, mapped_);
  }

  char *data() const { return data_; }
  template <typename T>
  T *as() const {
    return reinterpret_cast<T *>(data_);
  }

 private:
  size_t bytes_;
  size_t mapped_;
  char *start_;
  char *data_;
  bool shared_ = false;
};

template <typename T>
Guarded guarded(const std::vector<T> &values) {
  Guarded memory(values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(memory.data(), values.data(), values.size() * sizeof(T));
  return memory;
}

// A matrix with padding between its rows, filled with a mark that kernels must not touch.
struct Padded {
  static constexpr double kMark = 12288;

  Padded(int64_t rows, int64_t columns, int64_t padding, int32_t dtype)
      : memory(static_cast<size_t>(rows * (columns + padding)) * element_bytes(dtype)),
        view{memory.data(), rows, columns, columns + padding, dtype} {
    for (int64_t i = 0; i < rows; i++) {
      for (int64_t j = 0; j < view.stride; j++) set(i, j, kMark);
    }
  }

  Padded(const Padded &other) : memory(other.memory), view(other.view) {
    view.data = memory.data();
  }
  Padded &operator=(const Padded &) = delete;

  double at(int64_t i, int64_t j) const { return decode(view.dtype, address(i, j)); }
  void set(int64_t i, int64_t j, double x) { encode(view.dtype, x, address(i, j)); }

  void expect_padding_untouched(const std::string &what) const {
    for (int64_t i = 0; i < view.rows; i++) {
      for (int64_t j = view.columns; j < view.stride; j++) {
        expect(at(i, j) == kMark, what + ": wrote beyond a row");
      }
    }
  }

  Guarded memory;
  hf_matrix view;

 private:
  char *address(int64_t i, int64_t j) const {
    return memory.data() + static_cast<size_t>(i * view.stride + j) * element_bytes(view.dtype);
  }
};

struct Random {
  std::mt19937 generator{7};
  std::normal_distribution<float> normal;

  Padded matrix(int64_t rows, int64_t columns, int64_t padding, double spread,
                int32_t dtype = HF_FLOAT32) {
    Padded m(rows, columns, padding, dtype);
    for (int64_t i = 0; i < rows; i++) {
      for (int64_t j = 0; j < columns; j++) {
        m.set(i, j, spread * static_cast<double>(normal(generator)));
      }
    }
    return m;
  }

  // Columns of length about 1: that they are orthogonal matters to no formula here.
  Padded basis(int64_t d, int64_t k, int64_t padding, int32_t dtype = HF_FLOAT32) {
    return matrix(d, k, padding, 1 / std::sqrt(static_cast<double>(d)), dtype);
  }

  std::vector<float> weights(int64_t n) {
    std::vector<float> all(static_cast<size_t>(n));
    for (size_t i = 0; i < all.size(); i++) {
      all[i] = i % 3 == 0 ? 0.0F : std::fabs(normal(generator));
    }
    return all;
  }
};

// Scratch of exactly the size that was asked for.
inline Guarded scratch_of(int64_t bytes) {
  expect(bytes >= 0, "scratch: " + std::string(hf_last_error()));
  return Guarded(static_cast<size_t>(bytes), 64);
}

inline Guarded subspace_scratch(const Padded &u) {
  return scratch_of(hf_subspace_scratch(u.view.rows, u.view.columns));
}

inline const char *name_of(int32_t dtype) {
  return dtype == HF_FLOAT32 ? "float32" : dtype == HF_BFLOAT16 ? "bfloat16" : "float16";
}

inline std::string text(const char *what, std::initializer_list<int64_t> sizes, int32_t dtype) {
  std::string all = what;
  for (const int64_t size : sizes) all += " " + std::to_string(size);
  return all + " " + name_of(dtype);
}

// Every second row, last first.
inline std::vector<int64_t> some_rows(int64_t n) {
  std::vector<int64_t> rows;
  for (int64_t i = n - 1; i >= 0; i -= 2) rows.push_back(i);
  return rows;
}

// Runs the tests where the library has a device, and says how they went.
template <typename Tests>
int run_tests(const Tests &tests) {
  std::printf("%s\n", hf_description());
  if (hf_available() != HF_OK) {
    std::printf("skipped: %s\n", hf_last_error());
    return 77;
  }
  tests();
  std::printf(failures == 0 ? "passed\n" : "%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
