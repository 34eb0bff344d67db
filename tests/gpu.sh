#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, for someone who has one: builds with CUDA in build/gpu, runs
# the tests of GPUs, those of them that are programs of their own under compute-sanitizer too, and
# the benchmarks.
#
#   tests/gpu.sh OUTDIR
#
# OUTDIR, which must be new or empty, gets machine.json, the log of each step, ctest.xml (JUnit), a
# JSON file of each benchmark, and summary.txt, the table that is printed last. A step that fails
# does not stop the others; the exit status is then non-zero.
set -uo pipefail
# shellcheck source=launch/setup.sh
. "$(dirname "$0")/../launch/setup.sh"

sanitized_tests=(exec_test_gpu gpu_attention_test_gpu gpu_linear_test_gpu sample_test_gpu)
# All but what runs many worlds, which takes hours, and gathers whose memory a test makes on the host.
sanitized_cases='-CollectiveGather.*:*ChosenTokens.*:*Generate.*:*SameBits.*:*UnitBytes.*'
sanitizer_tools=(memcheck racecheck)
benchmarks=(cuda_bench)

[[ $# == 1 && $1 != -* ]] || die "what is needed is one directory, for results: tests/gpu.sh OUTDIR"

# What is missing is told at once, not one thing for each try.
missing=()
if ! command -v nvidia-smi > /dev/null; then
  missing+=("There is no nvidia-smi: this machine has no NVIDIA driver, or this container was started \
without its GPUs (docker run --gpus all)")
elif ! gpus=$(nvidia-smi -L 2>&1) || [[ $gpus != *"GPU "* ]]; then
  missing+=("nvidia-smi shows no GPU: ${gpus:-it prints nothing}")
fi
nvcc=$(PATH="$PATH:${CUDA_HOME:-/usr/local/cuda}/bin:/usr/local/cuda/bin" command -v nvcc) ||
  missing+=("There is no nvcc in PATH, \$CUDA_HOME/bin or /usr/local/cuda/bin: install CUDA 13.0 \
(NVIDIA's packages cuda-nvcc-13-0 cuda-cudart-dev-13-0 libcublas-dev-13-0 libnccl-dev)")
if [[ ${#missing[@]} != 0 ]]; then
  printf 'error: %s\n' "${missing[@]}" >&2
  exit 1
fi

mkdir -p "$1" || die "$1 cannot be made"
out=$(cd "$1" && pwd) || die "$1 cannot be entered"
[[ -w $out ]] || die "$1 cannot be written to"
[[ -z $(ls -A "$out") ]] || die "$1 is not empty: results of two runs would mix"
install_packages "${packages[@]}" libbenchmark-dev
cd "$root" || die "$root cannot be entered"
cuda=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
build=build/gpu

table=()
failed=0
# row STEP RESULT SECONDS NOTE
row() {
  table+=("$(printf '%-36s %-8s %6s  %s' "$@")")
  [[ $2 != FAILED ]] || failed=1
}
# step NAME NOTE COMMAND...: runs it, with its output here and in OUTDIR/NAME.log.
step() {
  local name=$1 note=$2 start=$SECONDS status
  shift 2
  say "$name: $(printf '%q ' "$@")"
  "$@" 2>&1 | tee "$out/$name.log"
  status=${PIPESTATUS[0]}
  if [[ $status == 0 ]]; then
    row "$name" ok $((SECONDS - start)) "$note"
  else
    row "$name" FAILED $((SECONDS - start)) "exit status $status: $name.log"
  fi
  return "$status"
}
program() { find "$build" -type f -name "$1" -perm -u+x -print -quit 2> /dev/null; }

# shellcheck disable=SC2317  # called by step
describe_machine() {
  nvidia-smi -q > "$out/nvidia-smi.txt" 2>&1
  nvidia-smi topo -m > "$out/topology.txt" 2>&1
  NVCC=$nvcc CUDA=$cuda python3 - << 'EOF' > "$out/machine.json" && cat "$out/machine.json"
import csv, datetime, json, os, re, subprocess, sys

def run(*command, text=None):
    try:
        result = subprocess.run(command, input=text, capture_output=True, text=True)
    except OSError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""

def first(pattern, text):
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1) if found else None

FIELDS = ["index", "name", "uuid", "pci.bus_id", "compute_cap", "memory.total", "driver_version",
          "clocks.max.sm", "clocks.max.mem", "power.limit", "persistence_mode", "ecc.mode.current",
          "mig.mode.current", "pcie.link.gen.max", "pcie.link.width.max"]
rows = run("nvidia-smi", "--query-gpu=" + ",".join(FIELDS), "--format=csv,noheader")
git = ("git", "-c", "safe.directory=" + os.getcwd())
nccl = run("g++", "-E", "-P", "-x", "c++", "-I", os.environ["CUDA"] + "/include", "-",
           text="#include <nccl.h>\nversion NCCL_MAJOR NCCL_MINOR NCCL_PATCH\n")
nccl = re.search(r"^version (\d+) (\d+) (\d+)$", nccl, re.MULTILINE)
lscpu = json.loads(run("lscpu", "-J") or '{"lscpu": []}')["lscpu"]
with open("/etc/os-release") as file:
    system = first(r'^PRETTY_NAME="?([^"\n]*)', file.read())
print(json.dumps({
    "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    "commit": run(*git, "rev-parse", "HEAD") or None,
    "modified": bool(run(*git, "status", "--porcelain")),
    "gpus": [dict(zip(FIELDS, map(str.strip, row))) for row in csv.reader(rows.splitlines())],
    "driver_cuda": first(r"CUDA Version\s*: *(\S+)", run("nvidia-smi", "-q")),
    "cuda": first(r"release (\S+),", run(os.environ["NVCC"], "--version")),
    "nccl": ".".join(nccl.groups()) if nccl else None,
    "cpu": {entry["field"].rstrip(":"): entry["data"] for entry in lscpu
            if not entry["field"].startswith("Vulnerability")},
    "system": system,
    "kernel": run("uname", "-sr"),
    "compiler": run("g++", "--version").partition("\n")[0],
    "mpi": run("mpirun", "--version").partition("\n")[0],
}, indent=2))
sys.exit(None if rows else "nvidia-smi does not answer --query-gpu")
EOF
}

# Counts of ctest.xml; fails where not one test ran, as when each finds a reason to skip itself.
junit_counts() {
  python3 - "$out/ctest.xml" << 'EOF'
import sys
import xml.etree.ElementTree
suite = xml.etree.ElementTree.parse(sys.argv[1]).getroot()
tests, failures, skipped = (int(suite.get(key, 0)) for key in ("tests", "failures", "skipped"))
print(f"{tests} tests, {failures} failed, {skipped} skipped")
sys.exit(tests == skipped)
EOF
}

step machine machine.json describe_machine
step configure "" cmake --preset release -B "$build" -DINITRT_CUDA=ON \
  -DCMAKE_CUDA_COMPILER="$nvcc" -DCMAKE_CUDA_ARCHITECTURES=native -DINITRT_BUILD_BENCH=ON
# What does not compile does not keep the rest from being built and tested.
step build "" cmake --build "$build" --parallel "$(nproc)" -- -k 0

step ctest ctest.xml ctest --test-dir "$build" -L gpu --no-tests=error --output-on-failure \
  --timeout 600 --output-junit "$out/ctest.xml"
if counts=$(junit_counts 2> /dev/null); then
  row "  of these" "" "" "$counts"
else
  row "  of these" FAILED "" "${counts:-no results}: no test of GPUs ran"
fi

sanitizer=$(PATH="$PATH:$cuda/bin" command -v compute-sanitizer) || sanitizer=
for tool in "${sanitizer_tools[@]}"; do
  for test in "${sanitized_tests[@]}"; do
    if [[ -z $sanitizer ]]; then
      row "$tool-$test" skipped "" "no compute-sanitizer in PATH or $cuda/bin"
    elif [[ -z $(program "$test") ]]; then
      row "$tool-$test" FAILED "" "not built"
    else
      step "$tool-$test" "" timeout --kill-after=30 3600 \
        env INITRT_TEST_DEVICE=cuda "$sanitizer" --tool "$tool" --error-exitcode 9 \
        "$(program "$test")" --gtest_brief=1 "--gtest_filter=$sanitized_cases"
    fi
  done
done

for benchmark in "${benchmarks[@]}"; do
  if [[ -z $(program "$benchmark") ]]; then
    row "$benchmark" FAILED "" "not built"
  else
    step "$benchmark" "$benchmark.json" timeout --kill-after=30 3600 "$(program "$benchmark")" \
      --benchmark_out="$out/$benchmark.json" --benchmark_out_format=json
  fi
done

{
  printf '\n%-36s %-8s %6s  %s\n' step result s ""
  printf '%s\n' "${table[@]}"
  printf '\nResults are in %s\n' "$out"
} | tee "$out/summary.txt"
exit "$failed"
