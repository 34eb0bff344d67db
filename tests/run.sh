#!/usr/bin/env bash
# Installs what is missing, builds, fetches the model and runs every test.
#
#   tests/run.sh [--sanitize] [ctest options]
#
# --sanitize first runs the tests under AddressSanitizer and UndefinedBehaviorSanitizer (all but some
# of the worlds that generate the same text), and the unit tests of threaded code under
# ThreadSanitizer, and gives every parser of files its seeds and some thousand inputs made of them
# (tests/fuzz). The plain run comes last; ctest's options (-R REGEX, -L unit, -j1) are for that run.
# The exit status is non-zero if anything failed.
set -euo pipefail
# shellcheck source=launch/setup.sh
. "$(dirname "$0")/../launch/setup.sh"

sanitize=false
if [[ ${1-} == --sanitize ]]; then
  sanitize=true
  shift
fi

# run_tests PRESET [ctest option...]
run_tests() {
  say "Testing: $1"
  ctest --preset "$1" --parallel "$(nproc)" "${@:2}"
}

! $sanitize || packages+=("${fuzz_packages[@]}")
install_packages "${packages[@]}"
build release
fetch_model
# Where a model directory is named, a test that finds no model in it fails instead of skipping.
export INITRT_MODELS=$root/models
cd "$root"

# The first run that fails is the last, so that its summary, which names the tests, ends the output.
if $sanitize; then
  build asan
  run_tests asan
  run_tests asan-mpi
  # Only what is built is run: the unit tests of folders whose code runs in several threads.
  build tsan tests/cuda_emulator/all tests/runtime/{comm,device,exec,load,storage}/all
  run_tests tsan
  build fuzz
  run_tests fuzz
fi
# Tests of GPUs come before: where there is none they are listed by name as skipped.
(($#)) || run_tests release -L gpu --no-tests=ignore
run_tests release -LE gpu "$@"
