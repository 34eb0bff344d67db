#!/usr/bin/env bash
# Fuzzes for long, one target after the other.
#
#   tests/fuzz/run.sh [SECONDS] [TARGET...]
#
# Each target (default: all) runs for SECONDS (default: 600) in one process at a time, past what it
# finds. It begins with its seeds and with what earlier runs have found worth keeping
# (build/asan/fuzz/corpus/TARGET). Findings are files in build/asan/findings: TARGET_fuzz FILE runs one
# again. The output ends with a table; the exit status is non-zero if anything was found.
set -euo pipefail
# shellcheck source=launch/setup.sh
. "$(dirname "$0")/../../launch/setup.sh"

seconds=600
if [[ ${1-} =~ ^[0-9]+$ ]]; then
  seconds=$1
  shift
fi

install_packages "${packages[@]}" "${sanitizer_packages[@]}"
build asan fuzz_targets
cd "$root"
programs=build/asan/tests/fuzz
findings=build/asan/findings
if [[ $# == 0 ]]; then
  for program in "$programs"/*_fuzz; do
    set -- "$@" "$(basename "$program" _fuzz)"
  done
fi
mapfile -t options < <(grep '^-' tests/fuzz/options.txt)

# The last value of a field of libFuzzer's lines, e.g. `cov: 1234`, in a log.
field() { { grep -oE "$2 ?[0-9]+" "$1" || echo "- 0"; } | tail -1 | grep -oE '[0-9]+'; }

table=$(printf '%-16s %12s %9s %9s' target runs coverage findings)
status=0
for target; do
  say "Fuzzing: $target for $seconds s"
  log=build/asan/fuzz/$target.log
  mkdir -p "build/asan/fuzz/corpus/$target" "$findings"
  words=()
  dictionary=tests/fuzz/dictionaries/$target.dict
  [[ ! -f $dictionary ]] || words=("-dict=$dictionary")
  "$programs/${target}_fuzz" "${options[@]}" -fork=1 -ignore_crashes=1 -max_total_time="$seconds" \
    -artifact_prefix="$findings/$target-" "${words[@]}" \
    "build/asan/fuzz/corpus/$target" "tests/fuzz/corpus/$target" > "$log" 2>&1 || status=1
  found=$(find "$findings" -name "$target-*" | wc -l)
  [[ $found == 0 ]] || status=1
  table+=$'\n'$(printf '%-16s %12s %9s %9s' "$target" "$(field "$log" '#')" \
    "$(field "$log" 'cov:')" "$found")
done
echo "$table"
exit "$status"
