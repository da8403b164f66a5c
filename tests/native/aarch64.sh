#!/bin/sh
# Compiles the CPU kernels $1 and their tests for 64-bit Arm in the folder $2, and runs the smaller
# shapes where qemu-user is. Ends with 77, and the reason, where the compiler is missing.
set -eu
native=$1 out=$2
tests=$(cd "$(dirname "$0")" && pwd)
compiler=${HOLDFAST_AARCH64_CXX:-aarch64-linux-gnu-g++}
command -v "$compiler" >/dev/null 2>&1 || {
  echo "skipped: no $compiler; remedy: apt-get install g++-aarch64-linux-gnu qemu-user"
  exit 77
}
mkdir -p "$out"
library=
for source in api block_api dispatch library kernels; do
  "$compiler" -std=c++17 -O2 -fno-math-errno -fno-trapping-math -fopenmp -Wall -Wextra -Wconversion \
    -Wshadow -Werror -Wno-psabi -DHF_TABLE=kBaseline '-DHF_NAME="neon"' -DHF_LANES=4 \
    -I"$native/include" -I"$native/common" -I"$native/cpu" -c "$native/cpu/$source.cpp" \
    -o "$out/$source.o"
  library="$library $out/$source.o"
done
emulator=$(command -v qemu-aarch64 || command -v qemu-aarch64-static || :)
if [ "$(uname -m)" != aarch64 ] && [ -z "$emulator" ]; then
  echo "compiled, not run: no qemu-aarch64; remedy: apt-get install qemu-user"
  exit 0
fi
for program in subspace rows adamw library block bad_arguments; do
  # shellcheck disable=SC2086 # a list of files
  "$compiler" -std=c++17 -O1 -fopenmp -static -I"$native/include" "$tests/${program}_test.cpp" \
    "$tests/memory_host.cpp" $library -o "$out/${program}_test"
  HOLDFAST_TEST_FEW=1 OMP_NUM_THREADS=2 $emulator "$out/${program}_test"
done
