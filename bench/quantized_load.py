#!/usr/bin/env python3
"""Time and memory of loading a checkpoint in 16 bit and quantized, beside transformers, in turn.

Prints medians of seconds until all weights are there (process start and imports left out) and the
most memory that the process had resident. Files are in the page cache. Needs bench/requirements.txt.

    python bench/make_model.py models/random-2.2GB --size 2.2GB
    python bench/quantized_load.py models/random-2.2GB --initrt build/release/launch/initrt
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile

PEER = pathlib.Path(__file__).parent / "peers/transformers_load.py"
METHODS = ["none", "llm.int8", "nf4"]


def resident(command: list) -> tuple[str, int]:
    """Standard output of a command, and the most bytes it had resident."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # of its own, so that ru_maxrss is the command's alone
        os.close(read)
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        with os.fdopen(write, "w") as pipe:
            json.dump([done.returncode, done.stdout, done.stderr, peak], pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        code, out, error, peak = json.load(pipe)
    os.waitpid(child, 0)
    if code != 0:
        raise RuntimeError(error)
    return out, peak


def initrt(arguments, quantize: str) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.json"
        _, peak = resident(
            [arguments.initrt, "--set", f"model={arguments.model}", "--set", "generate.prompt=x",
             "--set", f"quantize={quantize}", "--set", "generate.max_new_tokens=1",
             "--progress", "off", "--report", str(report)])
        return json.loads(report.read_text())["load"]["seconds"], peak


def transformers(arguments, quantize: str) -> tuple[float, int]:
    threads = str(len(os.sched_getaffinity(0)))
    out, _ = resident([sys.executable, str(PEER), str(arguments.model), quantize,
                       "--threads", threads, "--new-tokens", "0"])
    figures = json.loads(out.splitlines()[-1])
    return figures["returned_seconds"], figures["returned_peak_bytes"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path, help="a Hugging Face directory in bf16")
    parser.add_argument("--initrt", default="build/release/launch/initrt")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()

    results: dict[str, list] = {}
    for round_number in range(arguments.runs + 1):  # the first one fills the page cache
        for who, load in (("initrt", initrt), ("transformers", transformers)):
            for method in METHODS:
                measured = load(arguments, method)
                if round_number > 0:
                    name = f"{who} {'bf16' if method == 'none' else method}"
                    results.setdefault(name, []).append(measured)
    rows = {name: {"seconds": statistics.median(seconds for seconds, _ in values),
                   "peak_bytes": max(peak for _, peak in values), "runs": values}
            for name, values in results.items()}
    for name, row in rows.items():
        print(f"{name:>24}: {row['seconds']:6.2f} s, {row['peak_bytes'] / 1e9:.2f} GB resident")
    if arguments.out:
        arguments.out.write_text(json.dumps({
            "machine": platform.platform(), "threads": len(os.sched_getaffinity(0)),
            "model": arguments.model.name, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
