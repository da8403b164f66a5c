#!/bin/sh
# Runs the native tests (ctest) in the build folder $1. Called by Maven.
set -eu
build=$1
[ -f "$build/CTestTestfile.cmake" ] || exit 0
exec ctest --test-dir "$build" --output-on-failure
