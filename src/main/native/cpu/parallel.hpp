// Sharing a job among OpenMP's threads.
#pragma once

#include <cstdint>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace holdfast {

// Threads the next call may use.
int thread_limit();

// Below this many basic operations one thread is done before another has woken up.
constexpr int64_t kWorthSharing = 1 << 17;

// Threads that share(operations) would use for many items.
inline int64_t team_for(int64_t operations) {
#if defined(_OPENMP)
  if (operations >= kWorthSharing && omp_in_parallel() == 0) {
    return thread_limit();
  }
#endif
  static_cast<void>(operations);
  return 1;
}

// Calls part(first, last) for contiguous parts of 0..items that begin at multiples of `group`, on
// one thread where `operations` are few. A part's results must not depend on where it begins, so
// that they do not depend on the number of threads.
//
// It is one thread or all of them, never a number between: OpenMP throws threads away when a team
// is smaller than the last one.
template <typename Part>
void share(int64_t items, int64_t group, int64_t operations, const Part &part) {
  const int64_t groups = (items + group - 1) / group;
#if defined(_OPENMP)
  const auto threads = static_cast<int>(team_for(operations));
  if (threads > 1 && groups > 1) {
#pragma omp parallel num_threads(threads)
    {
      const int64_t team = omp_get_num_threads();
      const int64_t me = omp_get_thread_num();
      const int64_t first = groups * me / team * group;
      const int64_t end = groups * (me + 1) / team * group;
      const int64_t last = end < items ? end : items;
      if (first < last) {
        part(first, last);
      }
    }
    return;
  }
#endif
  if (groups > 0 && operations >= 0) {
    part(int64_t{0}, items);
  }
}

}  // namespace holdfast
