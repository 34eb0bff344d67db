#!/usr/bin/env bash
# This program beside its peers, in one command: bench/compare.sh OUTDIR [OPTION...]
# Installs what is missing, the peers at pinned versions in a virtual environment, makes the
# checkpoints, and measures; compare.py says how, and bench/compare.sh OUTDIR --help what its options
# are. --quick tries it with a small model in a minute or two.
#   VENV    the virtual environment; OUTDIR/venv without it
#   INITRT  the program; without it build/release is built
set -euo pipefail
[[ $# -ge 1 && $1 != -* ]] || {
  echo "usage: bench/compare.sh OUTDIR [OPTION...]" >&2
  exit 2
}
# shellcheck source=launch/setup.sh
. "$(dirname "$0")/../launch/setup.sh"

mkdir -p "$1"
outdir=$(cd "$1" && pwd)
shift
venv=${VENV:-$outdir/venv}

install_packages "${packages[@]}" fio python3-venv
if [[ -z ${INITRT:-} ]]; then
  build release initrt
  INITRT=$root/build/release/launch/initrt
fi

[[ -x $INITRT ]] || die "$INITRT is no program"

requirements=("$root/bench/requirements.txt" "$root/bench/compare_requirements.txt")
if ! cat "${requirements[@]}" | cmp -s - "$venv/initrt-compare.txt"; then
  say "Peers: installing into $venv"
  [[ -x $venv/bin/python ]] || python3 -m venv "$venv"
  # One by one: a peer that cannot be installed here is a row that says so.
  while read -r requirement; do
    "$venv/bin/python" -m pip install -q -c "${requirements[0]}" -c "${requirements[1]}" \
      "$requirement" >&2 || say "Peers: $requirement cannot be installed here"
  done < <(sed 's/#.*//; /^[[:space:]]*$/d' "${requirements[@]}")
  cat "${requirements[@]}" > "$venv/initrt-compare.txt"
fi

exec "$venv/bin/python" "$root/bench/compare.py" "$outdir" --initrt "$INITRT" "$@"
