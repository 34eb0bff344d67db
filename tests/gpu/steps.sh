# shellcheck shell=bash disable=SC2154,SC2034  # variables are of who sources this
# Steps of tests/gpu.sh: each has a log of its own, a limit of time, and a line in summary.txt, which
# is written anew after every step, so that whatever ends the run, what was found is there.
# $out is the directory of results, $default_limit the seconds that a step may take.

# unused NAME SUFFIX: a file in $out that is not there yet: NAME SUFFIX, else NAME.2 SUFFIX, ...
unused() {
  local path=$out/$1$2 n=2
  while [[ -e $path ]]; do path=$out/$1.$((n++))$2; done
  printf '%s' "$path"
}

# row STEP RESULT SECONDS NOTE: adds to what earlier runs have left in this directory.
row() {
  printf '%s\t%s\t%s\t%s\t%s\n' "$(date -u +%FT%TZ)" "$@" >> "$out/steps.tsv"
  {
    printf '%-20s  %-36s %-8s %6s  %s\n' when step result s ""
    awk -F '\t' '{printf "%-20s  %-36s %-8s %6s  %s\n", $1, $2, $3, $4, $5}' "$out/steps.tsv"
    printf '\nResults are in %s\n' "$out"
  } > "$out/summary.txt.new" && mv "$out/summary.txt.new" "$out/summary.txt"
  [[ $2 != FAILED ]] || failed=1
}

# step NAME NOTE COMMAND...: runs it, with its output here and in $log, for at most $limit seconds.
step() {
  local name=$1 note=$2 start=$SECONDS status seconds=${limit:-$default_limit}
  shift 2
  log=$(unused "$name" .log)
  say "$name: $(printf '%q ' "$@")"
  timeout --kill-after=20 "$seconds" "$@" 2>&1 < /dev/null | tee "$log"
  status=${PIPESTATUS[0]}
  if [[ $status == 0 ]]; then
    row "$name" ok $((SECONDS - start)) "$note"
  elif [[ $status == 124 || $status == 137 ]]; then
    row "$name" FAILED $((SECONDS - start)) "ended after $seconds s: ${log##*/}"
  else
    row "$name" FAILED $((SECONDS - start)) "exit status $status: ${log##*/}"
  fi
  return "$status"
}

# program NAME: the path of one that was built, or came prebuilt; nothing where there is none.
program() { find "$programs" -type f -name "$1" -perm -u+x -print -quit 2> /dev/null; }

# step_of NAME NOTE PROGRAM ARGUMENT...: a step with a program of ours.
step_of() {
  local path
  path=$(program "$3")
  if [[ -z $path ]]; then
    row "$1" FAILED 0 "$3 was not built"
    return 1
  fi
  step "$1" "$2" "$path" "${@:4}"
}

# counts JSON: of what GoogleTest wrote; fails where not one test ran, as when each skips itself.
counts() {
  python3 -c 'import json, sys
with open(sys.argv[1]) as file:
    result = json.load(file)
cases = [case for suite in result["testsuites"] for case in suite["testsuite"]]
ran = [case for case in cases if case.get("result") == "COMPLETED"]
print(len(ran), "ran,", result["failures"], "failed,", len(cases) - len(ran), "skipped")
sys.exit(not ran)' "$1" 2> /dev/null
}

# test_step NAME PROGRAM ARGUMENT...: a GoogleTest program, all its cases in one process, since each
# process takes seconds to start a GPU. $wrapper comes before it.
test_step() {
  local name=$1 path json status found
  path=$(program "$2")
  if [[ -z $path ]]; then
    row "$name" FAILED 0 "$2 was not built"
    return 1
  fi
  json=$(unused "$name" .json)
  step "$name" "${json##*/}" env INITRT_TEST_DEVICE=cuda "${wrapper[@]}" "$path" --gtest_brief=1 \
    "--gtest_output=json:$json" "${@:3}"
  status=$?
  if grep -q 'this machine has no GPU' "$log"; then
    row "  of these" FAILED "" "all skipped: they see no GPU"
  elif found=$(counts "$json"); then
    row "  of these" "" "" "$found"
  else
    row "  of these" FAILED "" "${found:-no results}: no test of GPUs ran"
  fi
  return "$status"
}
