// A fixed cut of a matrix into tiles of about kTile elements: the unit in which reductions are
// summed and work is shared out, so that results do not depend on how many share it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "holdfast.h"

namespace holdfast {

struct Tile {
  int64_t row_first, row_last, column_first, column_last;
};

class Tiles {
 public:
  static constexpr int64_t kTile = 16384;

  // `flat`: the rows follow one another in memory, and may be cut as one.
  Tiles(int64_t rows, int64_t columns, bool flat)
      : rows_(flat ? std::min<int64_t>(rows, 1) : rows), columns_(flat ? rows * columns : columns) {
    if (rows_ == 0 || columns_ == 0) {
      return;
    }
    wide_ = (columns_ + kTile - 1) / kTile;
    tall_ = std::max<int64_t>(1, kTile / columns_);
    count_ = (rows_ + tall_ - 1) / tall_ * wide_;
  }

  explicit Tiles(const hf_matrix &a) : Tiles(a.rows, a.columns, a.stride == a.columns) {}

  int64_t count() const { return count_; }

  Tile operator[](int64_t index) const {
    const int64_t row = index / wide_ * tall_;
    const int64_t column = index % wide_ * kTile;
    return {row, std::min(row + tall_, rows_), column, std::min(column + kTile, columns_)};
  }

 private:
  int64_t rows_;
  int64_t columns_;
  int64_t wide_ = 1;  // tiles across
  int64_t tall_ = 1;  // rows of a tile
  int64_t count_ = 0;
};

}  // namespace holdfast
