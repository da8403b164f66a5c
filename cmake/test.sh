#!/bin/sh
# Tests and lints the native kernels that cmake/build.sh built in $1. Called by Maven.
#
# With sanitizers, which takes longer:
#   cmake -S src/main/native -B target/sanitize -DHOLDFAST_SANITIZE=ON -DHOLDFAST_CUDA=OFF
#   cmake --build target/sanitize --parallel && ctest --test-dir target/sanitize
set -eu
build=$1
native=$(cd "$(dirname "$0")/.." && pwd)/src/main/native
[ -f "$build/CTestTestfile.cmake" ] || exit 0
log=$build/test.log
ctest --test-dir "$build" --output-on-failure >"$log" 2>&1 || {
  cat "$log" >&2
  exit 1
}
if ! command -v clang-tidy >/dev/null 2>&1; then
  echo "holdfast: clang-tidy not found, C++ not linted; remedy: apt-get install clang-tidy" >&2
  exit 0
fi
# Again only where a source changed since the last clean run.
stamp=$build/lint.stamp
if [ ! -f "$stamp" ] || [ -n "$(find "$native" -type f -newer "$stamp" | head -n 1)" ]; then
  clang-tidy --quiet -p "$build" --extra-arg=-fno-openmp "$native"/cpu/*.cpp >"$build/lint.log" 2>&1 || {
    cat "$build/lint.log" >&2
    exit 1
  }
  touch "$stamp"
fi
