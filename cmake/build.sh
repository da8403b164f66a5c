#!/bin/sh
# Builds the native kernels into $1 and installs the libraries into $2. Called by Maven.
set -eu
build=$1 out=$2
mkdir -p "$build" "$out"
if ! command -v cmake >/dev/null 2>&1 || ! command -v "${CXX:-c++}" >/dev/null 2>&1; then
  echo "holdfast: cmake or a C++17 compiler is missing; Holdfast will run on the slow 'reference' kernels." >&2
  echo "holdfast: remedy: apt-get install cmake g++ (Fedora: dnf install cmake gcc-c++; macOS: brew install cmake)" >&2
  exit 0
fi
log=$build/build.log
if ! { cmake -S src/main/native -B "$build" -DCMAKE_INSTALL_PREFIX="$out" &&
  cmake --build "$build" --parallel 2 &&
  cmake --install "$build"; } >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  echo "holdfast: the native kernels did not build; the whole log is $log" >&2
  exit 1
fi
grep 'nvcc not found' "$log" >&2 || true
