#!/usr/bin/env python3
"""Loading, memory and decoding beside all peers: compare.sh installs them and calls this.

Makes a checkpoint (make_model.py, --size) and the same weights in the form that each peer reads,
then runs the rows of compare_rows.py in turn. The first round is not timed: it samples memory, and
checks that all have loaded the same weights. In each further round every row loads once from files
that are not in the page cache and decodes a token, and once from cached files and decodes more;
which row is first changes with the round. Before each run as much memory as it takes is touched
(load_bench.py says why). The limits (read_limits.py) are measured in the same rounds. A run beside
which something else computed is taken again (undisturbed.py).

Writes compare.json, compare.md and figures to OUTDIR. Samples are kept in OUTDIR/samples.jsonl: the
same command goes on where it was stopped, with more --rounds too, and --minutes stops it by itself
(exit status 75 while something is left), so that a machine can be lent in slices.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

from checkpoint_forms import write_forms, weight_files
from compare_figures import draw
from compare_rows import PEERS, ROWS, Row, Setting, run
from compare_table import markdown, summary
from load_bench import drop_from_cache, touch_memory
from read_limits import BLOCK, cached_rate, fio_rates
from undisturbed import Undisturbed

PACKAGES = ("torch", "transformers", "accelerate", "safetensors", "bitsandbytes",
            "lightning-fabric", "fastsafetensors", "runai-model-streamer", "llama-cpp-python")
STATUS_MORE = 75
TRIES = 4  # of a run that others disturb
ROTATION = 7  # rows by which a round begins later than the one before


@dataclasses.dataclass(frozen=True)
class Step:
    """A run of a row, or of the limits (no row)."""
    round: int
    row: Row | None
    cold: bool = False
    check: bool = False

    def key(self) -> tuple:
        return self.round, self.row.name if self.row else "limits", self.cold


class Compare:
    def __init__(self, arguments: argparse.Namespace, setting: Setting):
        self.arguments = arguments
        self.setting = setting
        self.files = {form: weight_files(directory)
                      for form, directory in setting.directories.items()}
        self.bytes = sum(file.stat().st_size for file in self.files["safetensors"])
        self.keep_settings()
        self.path = arguments.outdir / "samples.jsonl"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.samples = [json.loads(line) for line in lines]

    def keep_settings(self) -> None:
        """Samples of other settings are not those of this run."""
        settings = {"bytes": self.bytes, "threads": self.setting.threads,
                    "new_tokens": self.setting.new_tokens, "quick": self.arguments.quick}
        path = self.arguments.outdir / "settings.json"
        if not path.exists():
            path.write_text(json.dumps(settings) + "\n")
        elif json.loads(path.read_text()) != settings:
            raise SystemExit(f"{path}: samples there are of other settings; take another OUTDIR")

    def rows(self) -> list[Row]:
        return [row for row in ROWS if self.arguments.only in row.name]

    def steps(self) -> list[Step]:
        """Those that are left."""
        rows = self.rows()
        if self.arguments.quick:
            steps = [Step(1, row, check=True) for row in rows] + [Step(1, None)]
        else:
            steps = [Step(0, row, check=True) for row in rows]
            for number in range(1, self.arguments.rounds + 1):
                of_round = [[Step(number, row, cold=True), Step(number, row)] for row in rows]
                of_round.append([Step(number, None)])
                first = (number - 1) * ROTATION % len(of_round)
                steps += sum(of_round[first:] + of_round[:first], [])
        done = {(sample["round"], sample["row"], sample["cold"]) for sample in self.samples}
        return [step for step in steps if step.key() not in done]

    def take(self, step: Step) -> dict:
        """Runs a step from a state that does not depend on what ran before."""
        for files in self.files.values():
            drop_from_cache(files)
        takes = step.row.takes if step.row else 1
        touch_memory(min(int(self.bytes * takes), available_memory() // 2))
        if step.row is None:
            figures = {"fio": fio_rates(self.files["safetensors"])}
            cache(self.files["safetensors"])
            return figures | {"cached": cached_rate(self.files["safetensors"],
                                                    self.setting.threads)}
        if not step.cold:
            cache(self.files[step.row.form])
        few = step.cold or (step.check and not self.arguments.quick)
        return run(step.row, self.setting, 1 if few else self.setting.new_tokens, step.check)

    def take_undisturbed(self, step: Step) -> dict:
        """Again where something else ran; the last try counts in any case, and says so."""
        if self.arguments.quick:
            return self.take(step)
        for _ in range(TRIES):
            with Undisturbed() as alone:
                figures = self.take(step)
            if not alone.disturbed:
                return figures
            print(f"again, {alone.disturbed}: {step.key()}", file=sys.stderr, flush=True)
        return figures | {"disturbed": alone.disturbed}

    def go(self, seconds: float) -> bool:
        """False where something is left."""
        end = time.monotonic() + seconds
        for step in self.steps():
            if time.monotonic() > end:
                return False
            number, name, cold = step.key()
            figures = self.take_undisturbed(step)
            sample = {"round": number, "row": name, "cold": cold} | figures
            self.samples.append(sample)
            with self.path.open("a") as out:
                out.write(json.dumps(sample) + "\n")
            shown = figures.get("error") or ", ".join(
                f"{key} {figures[key]:.4g}" for key in
                ("load_seconds", "first_token_seconds", "tokens_per_second") if key in figures)
            print(f"round {number}, {'cold' if cold else 'warm'}, {name}: {shown}",
                  file=sys.stderr, flush=True)
        return True

    def machine(self) -> dict:
        facts = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in facts if line.startswith("model name")),
                   platform.machine())
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return {"cpu": cpu, "cores": os.cpu_count(), "memory_bytes": memory,
                "kernel": platform.release(), "python": platform.python_version()}

    def results(self) -> dict:
        versions = {}
        for package in PACKAGES:
            try:
                versions[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                versions[package] = None
        return {"command": "bench/compare.sh OUTDIR", "machine": self.machine(),
                "versions": versions, "model": self.arguments.model.name, "bytes": self.bytes,
                "threads": self.setting.threads, "new_tokens": self.setting.new_tokens,
                } | summary([row.name for row in self.rows()], self.samples, self.bytes)


def available_memory() -> int:
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def cache(files: list[pathlib.Path]) -> None:
    buffer = bytearray(BLOCK)
    for file in files:
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(buffer):
                pass


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("outdir", type=pathlib.Path)
    parser.add_argument("--initrt", default="build/release/launch/initrt")
    parser.add_argument("--size", help="of the checkpoint; default: 2.2GB")
    parser.add_argument("--model", type=pathlib.Path,
                        help="a LLaMA's Hugging Face directory in bf16, instead of making one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="of all ranks together")
    parser.add_argument("--new-tokens", type=int, default=16)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--only", default="", help="rows that have this in their name")
    parser.add_argument("--quick", action="store_true",
                        help="a small model, one run from cached files: to try it, not to measure")
    return parser.parse_args()


def main() -> int:
    arguments = parsed()
    size = arguments.size or ("350MB" if arguments.quick else "2.2GB")
    arguments.outdir.mkdir(parents=True, exist_ok=True)
    models = arguments.outdir / "models"
    if arguments.model is None:
        arguments.model = models / f"random-{size}"
    if not (arguments.model / "model.safetensors.index.json").exists():
        subprocess.run([sys.executable, PEERS.parent / "make_model.py", arguments.model, "--size",
                        size], check=True)
    # Compute threads, readers and launchers of all rows share the same cores.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:arguments.threads])
    compare = Compare(arguments, Setting(write_forms(arguments.model, models), arguments.initrt,
                                         arguments.threads, arguments.new_tokens))
    if not compare.go(arguments.minutes * 60):
        print("stopped by --minutes: the same command goes on", file=sys.stderr)
        return STATUS_MORE
    results = compare.results()
    (arguments.outdir / "compare.json").write_text(json.dumps(results, indent=1) + "\n")
    table = markdown(results)
    (arguments.outdir / "compare.md").write_text(table)
    draw(results, ROWS, arguments.outdir)
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
