// The kernels of holdfast.h: checks, then shares the work out.
#include <cmath>

#include "arguments.hpp"
#include "dispatch.hpp"
#include "parallel.hpp"
#include "tiles.hpp"

namespace holdfast {
namespace {

// Lanes of the widest instruction set: scratch is asked for without regard to which one runs.
constexpr int64_t kWidest = 16;

PackedBasis pack_basis(const hf_matrix &u, void *scratch) {
  const KernelTable &table = kernels();
  auto *packed = static_cast<float *>(scratch);
  const int64_t blocks = (u.rows + table.lanes - 1) / table.lanes;
  share(blocks, 1, u.rows * u.columns,
        [&](int64_t first, int64_t last) { table.pack(&u, first, last, packed); });
  return {packed, u.rows, u.columns};
}

Tiles tiles_of(const hf_adamw_tensor &t) {
  const auto dense = [](const hf_matrix &a) { return a.stride == a.columns; };
  const bool flat = t.basis.data == nullptr && dense(t.parameter) && dense(t.gradient) &&
                    dense(t.first_moment) && dense(t.second_moment) &&
                    (t.master.data == nullptr || dense(t.master)) &&
                    (t.reference.data == nullptr || dense(t.reference));
  return Tiles(t.parameter.rows, t.parameter.columns, flat);
}

// Calls visit(i, tile) for tiles first..last of all parts counted together.
template <typename TilesOf, typename Visit>
void for_tiles(int64_t parts, int64_t first, int64_t last, const TilesOf &tiles_of_part,
               const Visit &visit) {
  int64_t before = 0;
  for (int64_t i = 0; i < parts && before < last; ++i) {
    const Tiles tiles = tiles_of_part(i);
    const int64_t end = std::min(tiles.count(), last - before);
    for (int64_t tile = std::max<int64_t>(0, first - before); tile < end; ++tile) {
      visit(i, tiles[tile]);
    }
    before += tiles.count();
  }
}

// U^T gradient of every tensor with a basis, one after another in the scratch.
void gather_components(const hf_adamw_tensor *tensors, int64_t count, char *scratch) {
  const KernelTable &table = kernels();
  for (int64_t i = 0; i < count; ++i) {
    const hf_adamw_tensor &t = tensors[i];
    if (t.basis.data == nullptr) {
      continue;
    }
    const AdamwJob job = {&t, nullptr, 0, 0, reinterpret_cast<float *>(scratch)};
    scratch += component_bytes(t);
    const int64_t columns = t.parameter.columns;
    share(columns, kComponentColumns, t.parameter.rows * columns * t.basis.columns,
          [&](int64_t first, int64_t last) {
            for (int64_t begin = first; begin < last; begin += kComponentColumns) {
              table.adamw_components(job, begin, std::min(begin + kComponentColumns, last));
            }
          });
  }
}

double tile_squares(const hf_matrix &a, const Tile &tile) {
  double sum = 0;
  for (int64_t row = tile.row_first; row < tile.row_last; ++row) {
    sum += kernels().sum_of_squares(a, row, tile.column_first, tile.column_last);
  }
  return sum;
}

int64_t segments_of(int64_t columns) { return (columns + kSegment - 1) / kSegment; }

// The segments of row i into their first, and the row's losses.
void ce_kl_sum(const CeKlJob &job, int64_t i, RowStats *stats) {
  const KernelTable &table = kernels();
  for (int64_t segment = 1; segment < segments_of(job.z->columns); ++segment) {
    table.ce_kl_merge(job, stats[0], stats[segment]);
  }
  table.ce_kl_losses(job, i, stats[0]);
}

// A row on one thread, while its segments are still in that thread's cache; `stats` has room for
// them.
void ce_kl_row(const CeKlJob &job, int64_t i, RowStats *stats) {
  const KernelTable &table = kernels();
  const int64_t segments = segments_of(job.z->columns);
  for (int64_t segment = 0; segment < segments; ++segment) {
    stats[segment] = table.ce_kl_stats(job, i, segment);
  }
  ce_kl_sum(job, i, stats);
  for (int64_t segment = 0; segment < segments; ++segment) {
    table.ce_kl_gradient(job, i, segment, stats[0], stats[segment].largest);
  }
}

// Rows first..last on all threads, each taking the same segments in both sweeps. `stats` has room
// for all segments.
void ce_kl_split(const CeKlJob &job, int64_t first, int64_t last, RowStats *stats) {
  const KernelTable &table = kernels();
  const int64_t segments = segments_of(job.z->columns);
  const int64_t parts = (last - first) * segments;
  const int64_t operations = 8 * (last - first) * job.z->columns;
  share(parts, 1, operations, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      stats[part] = table.ce_kl_stats(job, first + part / segments, part % segments);
    }
  });
  for (int64_t i = first; i < last; ++i) {
    ce_kl_sum(job, i, stats + (i - first) * segments);
  }
  share(parts, 1, operations, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t row = part / segments;
      table.ce_kl_gradient(job, first + row, part % segments, stats[row * segments],
                           stats[part].largest);
    }
  });
}

int32_t check_indices(const int64_t *rows, int64_t m, int64_t n) {
  for (int64_t i = 0; rows != nullptr && i < m; ++i) {
    if (rows[i] < 0 || rows[i] >= n) {
      return fail(HF_INVALID, "rows[%lld]: %lld is not one of %lld rows", static_cast<long long>(i),
                  static_cast<long long>(rows[i]), static_cast<long long>(n));
    }
  }
  return HF_OK;
}

int32_t check_labels(const int64_t *labels, int64_t m, int64_t vocabulary) {
  for (int64_t i = 0; i < m; ++i) {
    if (labels[i] >= vocabulary) {
      return fail(HF_INVALID, "labels[%lld]: %lld is outside the vocabulary of %lld",
                  static_cast<long long>(i), static_cast<long long>(labels[i]),
                  static_cast<long long>(vocabulary));
    }
  }
  return HF_OK;
}

}  // namespace
}  // namespace holdfast

using namespace holdfast;

extern "C" {

int64_t hf_subspace_scratch(int64_t d, int64_t k) {
  if (int32_t status = check_rank(d, k)) return -status;
  return (d + kWidest - 1) / kWidest * kWidest * k * static_cast<int64_t>(sizeof(float));
}

int32_t hf_project(const hf_matrix *h, const int64_t *rows, const hf_matrix *u, const hf_matrix *c,
                   void *scratch, void *) {
  if (int32_t status = check_project(h, rows, u, c, scratch)) return status;
  if (int32_t status = check_indices(rows, c->rows, h->rows)) return status;
  const PackedBasis basis = pack_basis(*u, scratch);
  share(c->rows, kRowGroup, c->rows * basis.d * basis.k,
        [&](int64_t first, int64_t last) { kernels().project(h, rows, basis, c, first, last); });
  return HF_OK;
}

int32_t hf_ablate(const hf_matrix *h, const hf_matrix *u, void *scratch, void *) {
  if (int32_t status = check_ablate(h, u, scratch)) return status;
  const PackedBasis basis = pack_basis(*u, scratch);
  share(h->rows, kRowGroup, 2 * h->rows * basis.d * basis.k,
        [&](int64_t first, int64_t last) { kernels().ablate(h, basis, first, last); });
  return HF_OK;
}

int32_t hf_constrain(const hf_matrix *g, const hf_matrix *h, const int64_t *rows,
                     const hf_matrix *u, const hf_matrix *c, const float *filter,
                     const float *weight, float *penalty, void *scratch, void *) {
  if (int32_t status = check_constrain(g, h, rows, u, c, filter, weight, penalty, scratch)) {
    return status;
  }
  if (int32_t status = check_indices(rows, c->rows, h->rows)) return status;
  const PackedBasis basis = pack_basis(*u, scratch);
  const ConstrainJob job = {g, h, rows, c, filter, weight, penalty};
  share(c->rows, kRowGroup, 3 * c->rows * basis.d * basis.k,
        [&](int64_t first, int64_t last) { kernels().constrain(job, basis, first, last); });
  return HF_OK;
}

int64_t hf_ce_kl_scratch(int64_t rows, int64_t vocabulary) {
  int64_t parts = 0;
  int64_t bytes = 0;
  if (rows < 0 || vocabulary < 0 || vocabulary > INT64_MAX / 2 ||
      !product_fits(rows, segments_of(vocabulary), &parts) ||
      !product_fits(parts, sizeof(RowStats), &bytes) || bytes > INT64_MAX - 64) {
    return -fail(HF_INVALID, "z: %lld x %lld are no rows of logits", static_cast<long long>(rows),
                 static_cast<long long>(vocabulary));
  }
  return (bytes + 63) / 64 * 64;
}

int32_t hf_ce_kl(const hf_matrix *z, const hf_matrix *r, const int64_t *rows, int64_t m,
                 const int64_t *labels, const float *ce_weight, const float *kl_weight,
                 const hf_row_loss *loss, float *ce, float *kl, void *scratch, void *) {
  if (int32_t status =
          check_ce_kl(z, r, rows, m, labels, ce_weight, kl_weight, loss, ce, kl, scratch)) {
    return status;
  }
  if (int32_t status = check_indices(rows, m, z->rows)) return status;
  if (int32_t status = check_labels(labels, m, z->columns)) return status;
  const CeKlJob job = {z, r, rows, labels, ce_weight, kl_weight, loss, ce, kl};
  auto *stats = static_cast<RowStats *>(scratch);
  const int64_t segments = segments_of(z->columns);
  // Whole rows while there is one for every thread; the segments of what is left.
  const int64_t operations = 8 * m * z->columns;
  const int64_t whole = m - m % team_for(operations);
  share(whole, 1, operations, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      ce_kl_row(job, i, stats + i * segments);
    }
  });
  ce_kl_split(job, whole, m, stats + whole * segments);
  return HF_OK;
}

int64_t hf_adamw_scratch(const hf_adamw_tensor *tensors, int64_t count) {
  return adamw_scratch(tensors, count);
}

int32_t hf_adamw(const hf_adamw_tensor *tensors, int64_t count, const hf_adamw_step *step,
                 void *scratch, void *) {
  if (int32_t status = check_adamw(tensors, count, step, scratch)) return status;
  const AdamwScalars s = adamw_scalars(*step);
  gather_components(tensors, count, static_cast<char *>(scratch));
  int64_t all = 0;
  int64_t elements = 0;
  for (int64_t i = 0; i < count; ++i) {
    all += tiles_of(tensors[i]).count();
    elements += tensors[i].parameter.rows * tensors[i].parameter.columns;
  }
  share(all, 1, 4 * elements, [&](int64_t first, int64_t last) {
    for_tiles(
        count, first, last, [&](int64_t i) { return tiles_of(tensors[i]); },
        [&](int64_t i, const Tile &tile) {
          const hf_adamw_tensor &t = tensors[i];
          const int64_t before = t.basis.data != nullptr ? adamw_scratch(tensors, i) : 0;
          const AdamwJob job = {&t, &s, static_cast<float>(1 - step->lr * t.weight_decay),
                                static_cast<float>(step->lr * t.pull),
                                reinterpret_cast<float *>(static_cast<char *>(scratch) + before)};
          for (int64_t row = tile.row_first; row < tile.row_last; ++row) {
            kernels().adamw_row(job, row, tile.column_first, tile.column_last);
          }
        });
  });
  return HF_OK;
}

int32_t hf_sum_of_squares(const hf_matrix *matrices, int64_t count, double *partials,
                          double *result, void *) {
  if (int32_t status = check_sum_of_squares(matrices, count, partials, result)) return status;
  int64_t all = 0;
  for (int64_t i = 0; i < count; ++i) {
    all += Tiles(matrices[i]).count();
  }
  const int64_t parts = std::min<int64_t>(all, HF_NORM_PARTIALS);
  share(parts, 1, all * Tiles::kTile, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      double sum = 0;
      for_tiles(
          count, part * all / parts, (part + 1) * all / parts,
          [&](int64_t i) { return Tiles(matrices[i]); },
          [&](int64_t i, const Tile &tile) { sum += tile_squares(matrices[i], tile); });
      partials[part] = sum;
    }
  });
  *result = 0;
  for (int64_t part = 0; part < parts; ++part) {
    *result += partials[part];
  }
  return HF_OK;
}
}
