"""What machine this is, as JSON: GPUs, driver, CUDA, NCCL, CPUs, system. Every part may be missing.

    machine.py [NVCC]
"""

import csv
import datetime
import glob
import json
import os
import re
import subprocess
import sys



def run(*command):
    try:
        result = subprocess.run(command, capture_output=True, text=True)
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
nvcc = sys.argv[1] if len(sys.argv) > 1 else "nvcc"
lscpu = json.loads(run("lscpu", "-J") or '{"lscpu": []}')["lscpu"]
with open("/etc/os-release") as file:
    system = first(r'^PRETTY_NAME="?([^"\n]*)', file.read())
print(json.dumps({
    "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    "commit": run(*git, "rev-parse", "HEAD") or None,
    "modified": bool(run(*git, "status", "--porcelain")),
    "gpus": [dict(zip(FIELDS, map(str.strip, row))) for row in csv.reader(rows.splitlines())],
    "driver_cuda": first(r"CUDA Version\s*: *(\S+)", run("nvidia-smi", "-q")),
    "cuda": first(r"release (\S+),", run(nvcc, "--version")),
    "libraries": sorted({os.path.realpath(path)
                         for directory in os.environ.get("LD_LIBRARY_PATH", "").split(":")
                         if directory for name in ("libcublasLt.so.*", "libnccl.so.*")
                         for path in glob.glob(directory + "/" + name)}),
    "cpu": {entry["field"].rstrip(":"): entry["data"] for entry in lscpu
            if not entry["field"].startswith("Vulnerability")},
    "system": system,
    "kernel": run("uname", "-sr"),
    "compiler": run("g++", "--version").partition("\n")[0],
    "mpi": run("mpirun", "--version").partition("\n")[0],
}, indent=2))
sys.exit(None if rows else "nvidia-smi does not answer --query-gpu")
