#!/usr/bin/env bash
# From a fresh Debian 12 to generated text: installs what is missing, builds, fetches a small model
# and runs the main job on two ranks. A second time only the job is left to do.
# Options are initrt's own: launch/quickstart.sh --set generate.prompt="Once upon a time"
set -euo pipefail
# shellcheck source=launch/setup.sh
. "$(dirname "$0")/setup.sh"

install_packages "${packages[@]}"
build release initrt
fetch_model

cd "$root"
run=(mpirun -np 2 build/release/launch/initrt --config configs/smollm2.json "$@")
say "Running: $(printf '%q ' "${run[@]}")"
exec "${run[@]}"
