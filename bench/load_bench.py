#!/usr/bin/env python3
"""Cold loading beside the raw read rate of the same files, measured in turn in one run.

For each number of ranks and each of the runs: the files' pages are dropped from the page cache,
initrt loads the checkpoint and reports how long that took (MPI start-up left out); they are dropped
again, and fio reads the same bytes of the same files sequentially, past the page cache, at the queue
depth that initrt's loader has. Prints medians and the ratio; --out writes everything as JSON.
Needs fio.

A virtual machine may have given its free memory back to the host, which then takes its time to
return it: that is no part of loading, and fio, which needs no memory, does not pay for it. So as
much memory as the model takes is touched, and freed, before each load (--no-touch: not).

    python bench/make_model.py models/random-1.5GB --size 1.5GB
    python bench/load_bench.py models/random-1.5GB --initrt build/release/launch/initrt
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import tempfile

FIO_BLOCK = "4M"
FIO_DEPTH = 16
MPI_ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none",
}


def drop_from_cache(files: list[pathlib.Path]) -> None:
    """Only these files' pages, so that programs stay as warm as they were."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def touch_memory(size: int) -> None:
    """Has the machine's free memory backed by real pages, in a process of its own."""
    subprocess.run(["python3", "-c", f"import mmap; m = mmap.mmap(-1, {size})\n"
                    f"m.madvise(mmap.MADV_HUGEPAGE)\n"
                    f"for at in range(0, {size}, 4096): m[at] = 1"], check=True)


def load(initrt: str, model: pathlib.Path, ranks: int, precision: str) -> dict:
    """The report's "load" part of one cold run."""
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.json"
        subprocess.run(
            ["mpirun", "-np", str(ranks), initrt, "score", "--set", f"model={model}",
             "--set", f"precision={precision}", "--tokens", "1", "--progress", "off",
             "--report", str(report)],
            check=True, env=os.environ | MPI_ENVIRONMENT, capture_output=True)
        return json.loads(report.read_text())["load"]


def raw_rate(files: list[pathlib.Path], ioengine: str) -> float:
    """Bytes per second that fio reads the files with, one after the other."""
    done = subprocess.run(
        ["fio", "--name=raw", "--filename=" + ":".join(map(str, files)), "--file_service_type=sequential",
         "--rw=read", "--direct=1", f"--bs={FIO_BLOCK}", f"--iodepth={FIO_DEPTH}",
         f"--ioengine={ioengine}", "--readonly", "--output-format=json"],
        check=True, capture_output=True, text=True)
    job = json.loads(done.stdout)["jobs"][0]["read"]
    return job["io_bytes"] / (job["runtime"] / 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--initrt", default="build/release/launch/initrt")
    parser.add_argument("--ranks", default="1,2", help="world sizes")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--precision", default="bf16-true")
    parser.add_argument("--ioengine", default="io_uring", help="fio's")
    parser.add_argument("--no-touch", action="store_true")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()

    files = sorted(arguments.model.glob("*.safetensors"))
    results = {"machine": platform.platform(), "cores": os.cpu_count(),
               "bytes": sum(file.stat().st_size for file in files), "touched_first": not arguments.no_touch, "worlds": []}
    for ranks in map(int, arguments.ranks.split(",")):
        loads, raws = [], []
        for _ in range(arguments.runs):
            drop_from_cache(files)
            if not arguments.no_touch:
                touch_memory(results["bytes"] * 5 // 4)
            loads.append(load(arguments.initrt, arguments.model, ranks, arguments.precision))
            drop_from_cache(files)
            raws.append(raw_rate(files, arguments.ioengine))
        rate = statistics.median(one["bytes_per_second"] for one in loads)
        raw = statistics.median(raws)
        world = {
            "ranks": ranks, "load_bytes_per_second": rate, "raw_bytes_per_second": raw,
            "ratio": rate / raw,
            "read_past_cache": statistics.median(
                one["bytes_read_direct"] / one["bytes_read"] for one in loads),
            "read_to_needed": max(one["read_to_needed"] for one in loads),
            "load_runs": [one["bytes_per_second"] for one in loads], "raw_runs": raws,
        }
        results["worlds"].append(world)
        print(f"{ranks} rank(s): load {rate / 1e9:.2f} GB/s, raw {raw / 1e9:.2f} GB/s, "
              f"ratio {world['ratio']:.2f}, read past the cache {world['read_past_cache']:.2f}")
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
