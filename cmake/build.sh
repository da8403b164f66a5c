#!/bin/sh
# Builds the native kernels in $1, with the libraries in $2; only the target that HOLDFAST_NATIVES names,
# if it names one. Called by Maven on every build: takes a moment where nothing changed. Without a
# compiler Holdfast still runs, slowly: says so, and how to mend it.
set -eu
build=$1 out=$2
source=$(cd "$(dirname "$0")/.." && pwd)/src/main/native
mkdir -p "$build" "$out"
out=$(cd "$out" && pwd)
if ! command -v cmake >/dev/null 2>&1 || ! command -v "${CXX:-c++}" >/dev/null 2>&1; then
  echo "holdfast: cmake or a C++17 compiler is missing; Holdfast will run on the slow 'reference' kernels." >&2
  echo "holdfast: remedy: apt-get install cmake g++   (Fedora: dnf install cmake gcc-c++; macOS: brew install cmake, xcode-select --install)" >&2
  exit 0
fi
if ! grep -qsx "HOLDFAST_OUTPUT:PATH=$out" "$build/CMakeCache.txt"; then
  rm -rf "$build/CMakeCache.txt" "$build/CMakeFiles"
  generator="Unix Makefiles"
  if command -v ninja >/dev/null 2>&1; then
    generator=Ninja
  fi
  echo "holdfast: configuring the native kernels ($generator)"
  cmake -S "$source" -B "$build" -G "$generator" -DHOLDFAST_OUTPUT:PATH="$out" \
    >"$build/configure.log" 2>&1 || {
    cat "$build/configure.log" >&2
    rm -f "$build/CMakeCache.txt"
    exit 1
  }
  grep -h "holdfast:" "$build/configure.log" || true
fi
cmake --build "$build" ${HOLDFAST_NATIVES:+--target "$HOLDFAST_NATIVES"} --parallel 2 >"$build/build.log" 2>&1 || {
  cat "$build/build.log" >&2
  exit 1
}
