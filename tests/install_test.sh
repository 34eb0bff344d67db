#!/usr/bin/env bash
# What cmake --install and cpack leave: a program that runs, a CMake package that is found, libraries
# that a program of one's own is built on, a manual page without warnings, a completion that completes,
# a .deb with the program.
#
#   install_test.sh BUILD
set -euo pipefail
build=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() {
  echo "install_test.sh: $*" >&2
  exit 1
}

cmake --install "$build" --prefix "$scratch/prefix" > /dev/null
"$scratch/prefix/bin/initrt" --version | grep -q '^initrt [0-9]' || fail "the program does not run"

mkdir "$scratch/user"
cat > "$scratch/user/CMakeLists.txt" << 'CMAKE'
cmake_minimum_required(VERSION 3.24)
project(user LANGUAGES NONE)
find_package(initrt 0.1 REQUIRED)
get_target_property(program initrt::initrt IMPORTED_LOCATION_RELEASE)
foreach(file IN ITEMS ${program} ${initrt_JOB_SCHEMA})
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "${file} is not there")
  endif()
endforeach()
CMAKE
cmake -S "$scratch/user" -B "$scratch/user/build" -DCMAKE_PREFIX_PATH="$scratch/prefix" > /dev/null ||
  fail "the CMake package is not found"

# examples/generate answers as the program does, on one rank and on two.
source=$(dirname "$0")/..
cmake -S "$source/examples" -B "$scratch/examples" -DCMAKE_PREFIX_PATH="$scratch/prefix" > /dev/null &&
  cmake --build "$scratch/examples" > "$scratch/log" 2>&1 ||
  fail "examples/ is not built: $(cat "$scratch/log")"
model=$scratch/model
cp -r "$source/tests/golden/checkpoints/gqa/hf" "$model"
cp "$source/tests/integration/tokenizer.json" "$model"
"$scratch/prefix/bin/initrt" --progress off --set "model=$model" --set 'generate.prompt=HELLO YOU' \
  --set generate.max_new_tokens=20 > "$scratch/expected" 2> "$scratch/log" ||
  fail "initrt: $(cat "$scratch/log")"
for ranks in 1 2; do
  launcher=(mpirun -np 2)
  ((ranks == 2)) || launcher=()
  "${launcher[@]}" "$scratch/examples/generate" "$model" 'HELLO YOU' 20 > "$scratch/answer" \
    2> "$scratch/log" || fail "generate on $ranks ranks: $(cat "$scratch/log")"
  cmp "$scratch/answer" "$scratch/expected" || fail "generate on $ranks ranks answers otherwise"
done

page=$scratch/prefix/share/man/man1/initrt.1
for part in '\\fB\\-\\-timeline' '.SS plan' '\\fBgenerate.output' '.SH EXIT STATUS'; do
  grep -qF -- "${part//\\\\/\\}" "$page" || fail "the manual page has no $part"
done
if command -v groff > /dev/null; then
  warnings=$(groff -man -ww -z "$page" 2>&1) || true
  [[ -z $warnings ]] || fail "the manual page: $warnings"
fi

# completed WORD...: what the last word may become.
completed() {
  bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _initrt; echo "${COMPREPLY[*]}"' \
    "$scratch/prefix/share/bash-completion/completions/initrt" "$@"
}
expect() {
  local expected=$1
  shift
  [[ $(completed "$@") == "$expected" ]] || fail "completing '$*' gives '$(completed "$@")'"
}
expect 'plan' initrt pl
expect '--nodes' initrt plan --no
expect '--logits' initrt score --lo
expect 'bar' initrt --progress b
expect 'generate.seed=' initrt --set generate.se
expect 'gguf' initrt inspect --format gg

# dpkg-shlibdeps and file are what cpack finds out dependencies by.
for tool in dpkg-shlibdeps file; do
  command -v "$tool" > /dev/null || exit 0
done
(cd "$scratch" && cpack --config "$build/CPackConfig.cmake" -B "$scratch/packages") > /dev/null 2>&1
deb=$(echo "$scratch"/packages/initrt_*.deb)
listing=$(dpkg-deb --contents "$deb")
for file in ./usr/bin/initrt ./usr/share/man/man1/initrt.1 ./usr/share/initrt/slurm/initrt.sbatch; do
  grep -qF " $file" <<< "$listing" || fail "the package has no $file"
done
depends=$(dpkg-deb --field "$deb" Depends)
[[ $depends == *libopenmpi3* && $depends == *openmpi-bin* ]] ||
  fail "the package does not depend on MPI: $depends"
