#!/usr/bin/env python3
"""Decoding on several ranks beside one rank: same weights, cores and tokens, in turn.

Each round runs every way once: one rank with all cores, then ranks over each communicator with
what moves being weights or activations. Prints medians of tokens per second after the first token,
and what they are of one rank's. The text of every way must be the same. A model of 1.1 billion
weights:

    python bench/make_model.py models/random-2.2GB --size 2.2GB
    python bench/sharded_decode.py models/random-2.2GB --initrt build/release/launch/initrt
"""

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import statistics
import subprocess
import tempfile

MPIRUN = ["mpirun", "--allow-run-as-root", "--bind-to", "none"]


@dataclasses.dataclass(frozen=True)
class Way:
    """How a job is run."""
    ranks: int
    communicator: str
    move: str

    def __str__(self) -> str:
        return "one rank" if self.ranks == 1 else f"{self.communicator}, {self.move} move"


@dataclasses.dataclass
class Run:
    """What a job gave."""
    rate: float  # tokens per second after the first, of all prompts
    text: str
    memory: int  # bytes a rank planned, at most
    kept: int    # bytes of them that are weights and what moving takes


def run(initrt: str, model: pathlib.Path, way: Way, prompts: int, new_tokens: int,
        threads: int) -> Run:
    """Runs a job of `prompts` prompts in all, as many at once."""
    texts = [f"{i} is a number, and" for i in range(prompts)]
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.json"
        command = [initrt, "--set", f"model={model}", "--set", f"generate.prompts={json.dumps(texts)}",
                   "--set", f"generate.max_new_tokens={new_tokens}",
                   "--set", "generate.ignore_eos=true", "--set", "generate.temperature=0",
                   "--set", f"generate.batch={prompts // way.ranks or 1}",
                   "--set", "precision=bf16-true", "--set", f"threads={threads // way.ranks}",
                   "--set", f"sharding.communicator={way.communicator}",
                   "--set", f"sharding.move={way.move}", "--report", str(report)]
        if way.ranks > 1:
            command = [*MPIRUN, "-np", str(way.ranks), *command]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        figures = json.loads(report.read_text())
    memory = figures["memory"]["plan"]
    kept = sum(memory[name] for name in ("shard", "resident", "slots", "exchange"))
    return Run(figures["generate"]["tokens_per_second"], done.stdout,
               figures["memory"]["planned"]["max"], kept)


def measure(arguments: argparse.Namespace, ways: list[Way], prompts: int) -> list[dict]:
    """A row of the table for each way."""
    runs: dict[Way, list[Run]] = {way: [] for way in ways}
    for _ in range(arguments.runs):
        for way in ways:
            runs[way].append(run(arguments.initrt, arguments.model, way, prompts,
                                 arguments.new_tokens, arguments.threads))
    texts = {one.text for of_way in runs.values() for one in of_way}
    if len(texts) != 1:
        raise SystemExit("the ways do not have the same text")
    alone = statistics.median(one.rate for one in runs[ways[0]])
    rows = []
    for way in ways:
        rate = statistics.median(one.rate for one in runs[way])
        rows.append({"way": str(way), "ranks": way.ranks, "prompts": prompts,
                     "tokens_per_second": rate, "of_one_rank": rate / alone,
                     "weights_bytes_per_rank": runs[way][0].kept,
                     "memory_bytes_per_rank": runs[way][0].memory})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model", type=pathlib.Path, help="a checkpoint with its tokenizer")
    parser.add_argument("--initrt", default="build/release/launch/initrt")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="of all ranks together")
    parser.add_argument("--new-tokens", type=int, default=50)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--prompts", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()

    ways = [Way(1, "self", "auto")]
    ways += [Way(arguments.ranks, communicator, move) for communicator in ("mapped", "mpi")
             for move in ("weights", "activations")]
    rows = []
    for prompts in arguments.prompts:
        rows += measure(arguments, ways, prompts)
    print(f"{'':32} {'prompts':>7} {'tokens/s':>9} {'of one':>7} {'weights':>9}")
    for row in rows:
        print(f"{row['way']:32} {row['prompts']:>7} {row['tokens_per_second']:>9.1f} "
              f"{row['of_one_rank']:>7.2f} {row['weights_bytes_per_rank'] / 1e9:>7.2f}GB")
    if arguments.out:
        machine = {"cpu": platform.processor() or platform.machine(),
                   "cores": len(os.sched_getaffinity(0)), "kernel": platform.release()}
        arguments.out.write_text(json.dumps({"machine": machine, "model": arguments.model.name,
                                             "runs": arguments.runs,
                                             "new_tokens": arguments.new_tokens, "rows": rows},
                                            indent=2) + "\n")


if __name__ == "__main__":
    main()
