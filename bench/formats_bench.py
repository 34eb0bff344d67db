#!/usr/bin/env python3
"""What a checkpoint's format costs to load: bytes and time beside safetensors of the same weights.

For each number of ranks and each of the runs, every format is loaded once, in turn, out of the page
cache (bench/load_bench.py's way). Prints, for each format, the bytes asked for and read per byte
needed, and the median time as a ratio to that of safetensors in the same run.

    python bench/make_formats.py models/formats
    python bench/formats_bench.py models/formats --initrt build/release/launch/initrt
"""

import argparse
import json
import os
import pathlib
import platform
import statistics

from load_bench import drop_from_cache, load, touch_memory

REFERENCE = "safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--initrt", default="build/release/launch/initrt")
    parser.add_argument("--ranks", default="1,2,4", help="world sizes")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--precision", default="bf16-true")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()

    folders = sorted((path for path in arguments.folder.iterdir() if path.is_dir()),
                     key=lambda path: (path.name != REFERENCE, path.name))
    results = {"machine": platform.platform(), "cores": os.cpu_count(), "worlds": []}
    for ranks in map(int, arguments.ranks.split(",")):
        runs = {folder.name: [] for folder in folders}
        for _ in range(arguments.runs):
            for folder in folders:
                files = [file for file in folder.iterdir() if file.is_file()]
                drop_from_cache(files)
                touch_memory(sum(file.stat().st_size for file in files) * 5 // 4)
                runs[folder.name].append(
                    load(arguments.initrt, folder, ranks, arguments.precision))
        world = {"ranks": ranks, "formats": {}}
        reference = statistics.median(one["seconds"] for one in runs[REFERENCE])
        for name, loads in runs.items():
            seconds = statistics.median(one["seconds"] for one in loads)
            world["formats"][name] = {
                "seconds": seconds,
                "ratio": seconds / reference,
                "requested_to_needed": loads[0]["bytes_requested"] / loads[0]["bytes_needed"],
                "read_to_needed": loads[0]["bytes_read"] / loads[0]["bytes_needed"],
                "runs": [one["seconds"] for one in loads],
            }
            one = world["formats"][name]
            print(f"{ranks} rank(s), {name:15} {seconds:.3f} s, {one['ratio']:.2f} of {REFERENCE}, "
                  f"requested {one['requested_to_needed']:.4f}, read {one['read_to_needed']:.4f}")
        results["worlds"].append(world)
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
