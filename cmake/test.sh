#!/bin/sh
# Tests and lints the native kernels that cmake/build.sh built in $1. Called by Maven.
set -eu
build=$1
root=$(cd "$(dirname "$0")/.." && pwd)
native=$root/src/main/native
[ -f "$build/CTestTestfile.cmake" ] || exit 0

# Runs a command, whose words are shown only where it fails.
quietly() {
  log=$1
  shift
  "$@" >"$log" 2>&1 || {
    cat "$log" >&2
    exit 1
  }
}

# Whether a source changed since the last clean run of the step $1.
changed() {
  [ ! -f "$1" ] ||
    [ -n "$(find "$native" "$root/tests/native" "$root/cmake" -type f -newer "$1" | head -n 1)" ]
}

quietly "$build/test.log" ctest --test-dir "$build" --output-on-failure --parallel 2

# The CPU kernels and the emulated CUDA kernels under AddressSanitizer and
# UndefinedBehaviorSanitizer, with the smaller shapes.
sanitized=$build/sanitized
if changed "$sanitized/stamp"; then
  mkdir -p "$sanitized"
  quietly "$sanitized/configure.log" cmake -S "$native" -B "$sanitized" -DHOLDFAST_SANITIZE=ON \
    -DHOLDFAST_CUDA=OFF
  quietly "$sanitized/build.log" cmake --build "$sanitized" --parallel 2
  quietly "$sanitized/test.log" ctest --test-dir "$sanitized" --output-on-failure --parallel 2
  touch "$sanitized/stamp"
fi

if ! command -v clang-tidy >/dev/null 2>&1; then
  echo "holdfast: clang-tidy not found, C++ not linted; remedy: apt-get install clang-tidy" >&2
  exit 0
fi
if changed "$build/lint.stamp"; then
  quietly "$build/lint.log" clang-tidy --quiet -p "$build" --extra-arg=-fno-openmp "$native"/cpu/*.cpp
  touch "$build/lint.stamp"
fi
