#!/usr/bin/env bash
# Of steps.sh: what a step leaves behind, whatever becomes of it.
# shellcheck disable=SC2034,SC2016,SC1091  # variables are for steps.sh
set -uo pipefail
. "$(dirname "$0")/steps.sh"
say() { :; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
programs=$out/programs default_limit=20 failed=0 wrapper=()
mkdir "$programs"
expect() {
  "${@:2}" && return
  echo "not so: $1" >&2
  exit 1
}
# has LINE...: each is in the table, where runs of spaces are one, and steps took 0 seconds.
has() {
  local line
  for line; do
    tr -s ' ' < "$out/summary.txt" | sed -E 's/ (ok|FAILED) [0-9]+ / \1 0 /' | grep -qF -- "$line" ||
      return 1
  done
}

step one "a note" echo said > /dev/null
expect "what it printed is in its log" grep -qx said "$out/one.log"
expect "it is in the table at once" has "one ok 0 a note"
expect "nothing has failed" test "$failed" = 0

step two "" false > /dev/null
expect "its exit status is told" has "two FAILED 0 exit status 1: two.log"
expect "a failure is kept in mind" test "$failed" = 1

limit=1 step slow "" sleep 30 > /dev/null
expect "it ends in time" has "ended after 1 s: slow.log"

step one "" echo again > /dev/null
expect "the first log stays" grep -qx said "$out/one.log"
expect "the second is another" grep -qx again "$out/one.2.log"
expect "the table has both" test "$(grep -c ' one ' "$out/summary.txt")" = 2

step_of missing "" nowhere > /dev/null
expect "a program that is not there is told of" has "missing FAILED 0 nowhere was not built"

fake() { printf '#!/usr/bin/env bash\n%s\n' "$2" > "$programs/$1" && chmod +x "$programs/$1"; }
fake skips 'echo "[  SKIPPED ] this machine has no GPU"'
test_step skips skips > /dev/null
expect "tests that skip themselves have not passed" has "of these FAILED all skipped"
fake passes 'for a; do [[ $a != --gtest_output=json:* ]] || echo "{\"failures\": 0, \"testsuites\": [
{\"testsuite\": [{\"result\": \"COMPLETED\"}, {\"result\": \"SKIPPED\"}]}]}" > "${a#*json:}"; done'
test_step passes passes > /dev/null
expect "tests are counted" has "of these 1 ran, 0 failed, 1 skipped"
fake silent 'true'
test_step silent silent > /dev/null
expect "no results are a failure" has "of these FAILED no results"
