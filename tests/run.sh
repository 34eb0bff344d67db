#!/usr/bin/env bash
# Installs what is missing, builds, fetches the model and runs every test.
#
#   tests/run.sh [--sanitize] [--slurm] [--times] [ctest options]
#
# --sanitize first runs clang-format and clang-tidy (tests/lint.py), then the tests under
# AddressSanitizer and UndefinedBehaviorSanitizer (without most of the worlds that generate the same
# text), gives every parser of files its seeds and some thousand inputs made of them (tests/fuzz), and
# runs the unit tests of threaded code under ThreadSanitizer. The plain run comes last; ctest's
# options (-R REGEX, -L unit, -j1) are for that run.
# --slurm installs Slurm, for the test that starts one; without it, and where it cannot be installed or
# started, that test is skipped, and the last line says why.
# --times prints how long each step took, and each run's slowest tests, before the last run.
# The exit status is non-zero if anything failed.
set -euo pipefail
# shellcheck source=launch/setup.sh
. "$(dirname "$0")/../launch/setup.sh"

sanitize=false slurm=false times=false
while true; do
  case ${1-} in
    --sanitize) sanitize=true ;;
    --slurm) slurm=true ;;
    --times) times=true ;;
    *) break ;;
  esac
  shift
done

steps=()
# timed NAME COMMAND...: runs it and notes the seconds it took.
timed() {
  local name=$1 start=$SECONDS
  shift
  "$@"
  steps+=("$(printf '%6d s  %s' $((SECONDS - start)) "$name")")
}

# The ten slowest tests of the run whose log CTest left last in build/PRESET.
slowest() {
  awk -v preset="$1" '
    /^[0-9]+\/[0-9]+ Test: /   { name = $0; sub(/^[^:]*: /, "", name) }
    /^Test time = /            { printf "%8.1f s    %s: %s\n", $4, preset, name }
  ' "build/$1/Testing/Temporary/LastTest.log" | sort -rn | head -10 || true
}

jobs=$(($(nproc) + 1))  # many mostly wait: for a time-out, another rank, Slurm
# run_tests TEST_PRESET BUILD_PRESET [ctest option...]
run_tests() {
  say "Testing: $1"
  timed "test $1" ctest --preset "$1" --parallel "$jobs" "${@:3}"
  ! $times || steps+=("$(slowest "$2")")
}

! $sanitize || packages+=("${sanitizer_packages[@]}" "${lint_packages[@]}")
install_packages "${packages[@]}" ccache
! $slurm || (install_packages "${cluster_packages[@]}") || say "No Slurm: the test that starts one is skipped"
cd "$root"
timed "build release" build release
fetch_model
# Where a model directory is named, a test that finds no model in it fails instead of skipping.
export INITRT_MODELS=$root/models

# The first run that fails is the last, so that its summary, which names the tests, ends the output.
if $sanitize; then
  cmake --preset asan --log-level=WARNING >&2  # clang-tidy takes its commands from there
  timed "lint" tests/lint.py
  timed "build asan" build asan
  run_tests asan asan
  timed "build tsan" build tsan tests/all
  run_tests tsan tsan
fi
# Tests of GPUs come before: where there is none they are listed by name as skipped.
(($#)) || run_tests release release -L gpu --no-tests=ignore
! $times || printf '==> Where the time went\n%s\n' "$(printf '%s\n' "${steps[@]}")" >&2
run_tests release release -LE gpu "$@"
grep -h '^skipped: ' build/release/Testing/Temporary/LastTest.log >&2 || true
