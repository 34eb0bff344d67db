#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, for someone who has one, in three stages that may be run in one
# call or in several, with one directory of results:
#
#   contact   facts of the machine, probes of what only a GPU can tell, the tests of GPUs, and one
#             model's logits on one rank, one rank with NCCL, and two ranks that share the GPU
#   speed     micro-benchmarks; loading, cold and warm; decode and prefill; a timeline, and kernels
#   sanitize  tests that are programs of their own under compute-sanitizer
#
#   tests/gpu.sh [option...] OUTDIR
#     --stage NAME      only that stage; may be given several times
#     --no-install      install no packages (a machine without a network)
#     --prebuilt PATH   build nothing: what tests/gpu/pack.sh has packed, a directory or a .tar.gz
#     --limit SECONDS   the most that a step may take (600)
#     --model DIR       a checkpoint for `speed`, instead of one that is made
#
# OUTDIR gets a log of each step, what programs write, and summary.txt, a table that is written anew
# after every step. Results that are there already stay. A step that fails does not stop the others;
# the exit status is then non-zero.
set -uo pipefail
# shellcheck source=launch/setup.sh
. "$(dirname "$0")/../launch/setup.sh"
# shellcheck source=tests/gpu/steps.sh
. "$root/tests/gpu/steps.sh"

usage() {
  die "$1: tests/gpu.sh [--stage NAME] [--no-install] [--prebuilt PATH] [--limit SECONDS] [--model DIR] \
OUTDIR"
}
stages=()
with_packages=true
prebuilt=
default_limit=600
model_directory=
while [[ ${1-} == --* ]]; do
  [[ $1 == --no-install || $# -ge 2 ]] || usage "$1 needs a value"
  case $1 in
    --stage)
      [[ $2 == contact || $2 == speed || $2 == sanitize ]] ||
        usage "there is no stage $2, but contact, speed and sanitize"
      stages+=("$2")
      ;;
    --no-install) with_packages=false ;;
    --prebuilt)
      prebuilt=$(readlink -e "$2") || die "--prebuilt: there is no $2"
      ;;
    --limit)
      [[ $2 =~ ^[1-9][0-9]*$ ]] || usage "--limit is a number of seconds, not $2"
      default_limit=$2
      ;;
    --model) model_directory=$(cd "$2" 2> /dev/null && pwd) || die "--model: there is no directory $2" ;;
    *) usage "there is no option $1" ;;
  esac
  [[ $1 == --no-install ]] || shift
  shift
done
[[ $# == 1 && $1 != -* ]] || usage "what is needed is one directory, for results"
[[ ${#stages[@]} != 0 ]] || stages=(contact speed sanitize)

mkdir -p "$1" || die "$1 cannot be made"
out=$(cd "$1" && pwd) || die "$1 cannot be entered"
[[ -w $out ]] || die "$1 cannot be written to"
failed=0
scratch=$(mktemp -d) || die "there is no room for temporary files"
trap 'rm -rf "$scratch"' EXIT
if [[ -f $prebuilt ]]; then
  tar -xzf "$prebuilt" -C "$scratch" || die "--prebuilt: $prebuilt cannot be unpacked"
  prebuilt=$(dirname "$(dirname "$(find "$scratch" -path '*/bin/initrt' -print -quit)")")
fi

# What is missing is told at once, not one thing for each try.
missing=()
if ! command -v nvidia-smi > /dev/null; then
  missing+=("There is no nvidia-smi: this machine has no NVIDIA driver, or this container was started \
without its GPUs (docker run --gpus all)")
elif ! gpus=$(nvidia-smi -L 2>&1) || [[ $gpus != *"GPU "* ]]; then
  missing+=("nvidia-smi shows no GPU: ${gpus:-it prints nothing}")
fi
cuda=${CUDA_HOME:-/usr/local/cuda}
nvcc=$(PATH="$PATH:$cuda/bin:/usr/local/cuda/bin" command -v nvcc) || nvcc=
if [[ -z $nvcc && -z $prebuilt ]]; then
  missing+=("There is no nvcc in PATH, \$CUDA_HOME/bin or /usr/local/cuda/bin: install CUDA 13.0 \
(NVIDIA's packages cuda-nvcc-13-0 cuda-cudart-dev-13-0 libcublas-dev-13-0 libnccl-dev), or give \
--prebuilt what tests/gpu/pack.sh made on another machine")
fi
if [[ -n $prebuilt && ! -x $prebuilt/bin/initrt ]]; then
  missing+=("There is no $prebuilt/bin/initrt: --prebuilt takes a directory of tests/gpu/pack.sh")
fi
if [[ ${#missing[@]} != 0 ]]; then
  printf 'error: %s\n' "${missing[@]}" >&2
  for line in "${missing[@]}"; do row machine FAILED 0 "$line"; done
  exit 1
fi

# cuda_directories: where cuBLASLt and NCCL are, which programs open when they first use them.
cuda_directories() {
  local wheels directory
  wheels=$(python3 -c 'import glob, site
for base in [*site.getsitepackages(), site.getusersitepackages()]:
    print(*glob.glob(base + "/nvidia/*/lib"), sep="\n")' 2> /dev/null)
  # shellcheck disable=SC2086  # a path in each word
  for directory in "$cuda/lib64" /usr/local/cuda*/lib64 /usr/local/lib /usr/lib/x86_64-linux-gnu \
    $wheels; do
    [[ -n $(compgen -G "$directory/libcublas*.so.*") || -n $(compgen -G "$directory/libnccl.so.*") ]] &&
      printf '%s\n' "$directory"
  done | awk '!seen[$0]++' | paste -sd:
}

cd "$root" || die "$root cannot be entered"
wrapper=()
if [[ -n $prebuilt ]]; then
  programs=$prebuilt/bin
  # Open MPI's parts, and those of PMIx, which starts its ranks, are here and not where they were.
  export PATH=$prebuilt/bin:$PATH OPAL_PREFIX=$prebuilt OPAL_BINDIR=$prebuilt/bin \
    OPAL_LIBDIR=$prebuilt/lib OPAL_PKGLIBDIR=$prebuilt/lib/openmpi \
    OPAL_PKGDATADIR=$prebuilt/share/openmpi \
    OMPI_MCA_mca_base_component_path=$prebuilt/lib/openmpi \
    PMIX_MCA_mca_base_component_path=$prebuilt/lib/pmix PMIX_INSTALL_PREFIX=$prebuilt
else
  programs=build/gpu
  ! $with_packages || install_packages "${packages[@]}" libbenchmark-dev
fi
LD_LIBRARY_PATH=${prebuilt:+$prebuilt/lib:}$(cuda_directories)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
# shellcheck source=tests/gpu/stages.sh
. tests/gpu/stages.sh

if [[ -z $prebuilt ]]; then
  step configure "" cmake --preset release -B "$programs" -DINITRT_CUDA=ON \
    -DCMAKE_CUDA_COMPILER="$nvcc" -DCMAKE_CUDA_ARCHITECTURES=native -DINITRT_BUILD_BENCH=ON
  # What does not compile does not keep the rest from being built and tested.
  limit=3600 step build "" cmake --build "$programs" --parallel "$(nproc)" -- -k 0
fi
for stage in "${stages[@]}"; do
  say "Stage: $stage"
  "stage_$stage"
done
cat "$out/summary.txt"
exit "$failed"
