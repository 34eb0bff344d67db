#!/usr/bin/env python3
"""Decoding on several ranks beside one rank: same weights, cores and tokens, in turn.

Each round runs every way once: one rank with all cores, then for each number of ranks over each
communicator with what moves being weights or activations. Prints medians of tokens per second after
the first token, and what they are of one rank's. The text of every way must be the same. With
--peers llama.cpp with the same cores and FSDP2 over gloo run in the same rounds
(bench/requirements.txt).

Beside each rate is what `initrt plan` predicts for it (sharding/sweep_time.h) from speeds that are
measured by other means in each round: what as many jobs of one rank read and compute when they run
at once, and what link_bench (-DINITRT_BUILD_BENCH=ON) says of the communicator. The same formula then predicts
large models on GPUs (sharded_prediction.py).

    python bench/make_model.py models/random-2.2GB --size 2.2GB
    python bench/sharded_decode.py models/random-2.2GB --build build/release
"""

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

from sharded_prediction import predict_gpus, print_gpus

PEERS = pathlib.Path(__file__).parent / "peers"
COMMUNICATORS = ("mapped", "mpi")
MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]


@dataclasses.dataclass(frozen=True)
class Way:
    """How a job is run."""
    ranks: int
    communicator: str
    move: str

    def __str__(self) -> str:
        if self.ranks == 1:
            return "one rank"
        return f"{self.ranks} ranks, {self.communicator}, {self.move} move"


@dataclasses.dataclass
class Run:
    """What a job gave."""
    rate: float  # tokens per second after the first, of all prompts
    text: str
    memory: int  # bytes a rank planned, at most
    kept: int    # bytes of them that are weights and what moving takes


class Bench:
    """The model, the program and the cores."""

    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments
        self.initrt = str(arguments.build / "launch/initrt")
        self.link_bench = str(arguments.build / "bench/link_bench")

    def settings(self, way: Way, prompts: int) -> list[str]:
        texts = [f"{i} is a number, and" for i in range(prompts)]
        threads = max(1, self.arguments.threads // way.ranks)
        return ["--set", f"model={self.arguments.model}",
                "--set", f"generate.prompts={json.dumps(texts)}",
                "--set", f"generate.max_new_tokens={self.arguments.new_tokens}",
                "--set", "generate.ignore_eos=true", "--set", "generate.temperature=0",
                "--set", f"generate.batch={prompts // way.ranks or 1}",
                "--set", "precision=bf16-true", "--set", f"threads={threads}",
                "--set", f"sharding.communicator={way.communicator}",
                "--set", f"sharding.move={way.move}"]

    def run(self, way: Way, prompts: int) -> Run:
        """A job of `prompts` prompts in all, as many at once."""
        with tempfile.TemporaryDirectory() as directory:
            report = pathlib.Path(directory) / "report.json"
            command = [self.initrt, *self.settings(way, prompts), "--report", str(report)]
            if way.ranks > 1:
                command = [*MPIRUN, "-np", str(way.ranks), *command]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            figures = json.loads(report.read_text())
        memory = figures["memory"]["plan"]
        kept = sum(memory[name] for name in ("shard", "resident", "slots", "exchange"))
        return Run(figures["generate"]["tokens_per_second"], done.stdout,
                   figures["memory"]["planned"]["max"], kept)

    def moves(self, way: Way, prompts: int, speeds: dict[str, float]) -> dict:
        """What `plan` says of moving."""
        command = [self.initrt, "plan", "--json", "--world", str(max(way.ranks, 2)),
                   *self.settings(way, prompts)]
        for name, value in speeds.items():
            command += ["--set", f"speeds.{name}={value}"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads(done.stdout)["moves"]

    def rate_of_jobs(self, ranks: int, prompts: int) -> float:
        """Tokens per second of each of as many single ranks, all at once on the same cores."""
        command = [self.initrt, *self.settings(Way(1, "self", "auto"), prompts)]
        threads = max(1, self.arguments.threads // ranks)
        with tempfile.TemporaryDirectory() as directory:
            reports = [pathlib.Path(directory) / f"{i}.json" for i in range(ranks)]
            jobs = [subprocess.Popen([*command, "--set", f"threads={threads}", "--report", report],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    for report in reports]
            if any(job.wait() != 0 for job in jobs):
                raise SystemExit("a job failed")
            return statistics.mean(json.loads(report.read_text())["generate"]["tokens_per_second"]
                                   for report in reports)

    def link(self, ranks: int, communicator: str) -> dict[str, float]:
        """Bytes a second and seconds of an exchange."""
        done = subprocess.run([*MPIRUN, "-np", str(ranks), self.link_bench, communicator],
                              check=True, capture_output=True, text=True)
        return json.loads(done.stdout)


class Speeds:
    """What `plan` takes as speeds.*, measured once in each round."""

    def __init__(self, bench: Bench):
        self.bench = bench
        self.costs = bench.moves(Way(2, "mpi", "auto"), 1, {})
        self.jobs: dict[tuple[int, int], list[float]] = {}  # by ranks and prompts
        self.links: dict[tuple[int, str], list[dict[str, float]]] = {}

    def measure(self, ranks: int, prompts: int) -> None:
        self.jobs.setdefault((ranks, prompts), []).append(self.bench.rate_of_jobs(ranks, prompts))
        for communicator in COMMUNICATORS:
            self.links.setdefault((ranks, communicator), []).append(
                self.bench.link(ranks, communicator))

    def of(self, ranks: int, communicator: str) -> dict[str, float]:
        """Medians. One prompt is bound by memory; the most of them, the sooner by arithmetic."""
        rates = {prompts: statistics.median(of_jobs)
                 for (of_ranks, prompts), of_jobs in self.jobs.items() if of_ranks == ranks}
        speeds = {"memory": rates[1] * self.costs["product_bytes"]}
        if max(rates) > 1:
            speeds["compute"] = rates[max(rates)] * self.costs["operations_per_row"]
        for name in ("link", "latency"):
            speeds[name] = statistics.median(
                sample[name] for sample in self.links[ranks, communicator])
        return speeds


def llama_cpp(arguments: argparse.Namespace, gguf: pathlib.Path) -> float:
    done = subprocess.run([sys.executable, PEERS / "llama_cpp_decode.py", gguf,
                           str(arguments.threads), str(arguments.new_tokens)],
                          check=True, capture_output=True, text=True)
    return float(done.stdout)


def fsdp2(arguments: argparse.Namespace, ranks: int, prompts: int) -> float:
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone",
                           "--nproc-per-node", str(ranks), PEERS / "fsdp2_decode.py",
                           arguments.model, str(max(1, arguments.threads // ranks)),
                           str(max(1, prompts // ranks)), "3"],
                          check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def measure(bench: Bench, ways: list[Way], prompts: int, gguf: pathlib.Path | None,
            speeds: Speeds) -> list[dict]:
    """A row of the table for each way and peer."""
    arguments = bench.arguments
    runs: dict[Way, list[Run]] = {way: [] for way in ways}
    peers: dict[str, list[float]] = {}
    steps = [lambda way=way: runs[way].append(bench.run(way, prompts)) for way in ways]
    steps += [lambda ranks=ranks: speeds.measure(ranks, prompts) for ranks in arguments.ranks]
    if gguf and prompts == 1:
        steps.append(lambda: peers.setdefault("llama.cpp", []).append(llama_cpp(arguments, gguf)))
    if gguf:
        steps.append(lambda: peers.setdefault("2 ranks, FSDP2 over gloo", []).append(
            fsdp2(arguments, 2, prompts)))
    for number in range(arguments.runs):
        # Nothing always follows the same: what ran before may have left the processor slower.
        first = number * len(steps) // arguments.runs
        for step in steps[first:] + steps[:first]:
            step()
    if len({one.text for of_way in runs.values() for one in of_way}) != 1:
        raise SystemExit("the ways do not have the same text")
    alone = statistics.median(one.rate for one in runs[ways[0]])

    def row(way: str, rates: list[float]) -> dict:
        rate = statistics.median(rates)
        return {"way": way, "prompts": prompts, "tokens_per_second": rate, "slowest": min(rates),
                "fastest": max(rates), "of_one_rank": rate / alone}

    rows = [row(str(way), [one.rate for one in of_way]) |
            {"run": way, "weights_bytes_per_rank": of_way[0].kept,
             "memory_bytes_per_rank": of_way[0].memory} for way, of_way in runs.items()]
    return rows + [row(name, rates) for name, rates in peers.items()]


def predict(bench: Bench, rows: list[dict], speeds: Speeds) -> None:
    """Adds to each row of several ranks what `plan` says."""
    for row in rows:
        way = row.pop("run", None)
        if way is None or way.ranks == 1:
            continue
        moves = bench.moves(way, row["prompts"], speeds.of(way.ranks, way.communicator))
        row["predicted_tokens_per_second"] = row["prompts"] / moves["times"][way.move]["seconds"]


def show(rows: list[dict]) -> None:
    print(f"{'':40} {'prompts':>7} {'tokens/s':>9} {'of one':>7} {'predicted':>9} {'weights':>9}")
    for row in rows:
        predicted = row.get("predicted_tokens_per_second")
        weights = row.get("weights_bytes_per_rank")
        print(f"{row['way']:40} {row['prompts']:>7} {row['tokens_per_second']:>9.3g} "
              f"{row['of_one_rank']:>7.2f} {f'{predicted:.3g}' if predicted else '':>9} "
              f"{f'{weights / 1e9:.3f}GB' if weights else '':>9}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model", type=pathlib.Path, help="a checkpoint with its tokenizer")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="of all ranks together")
    parser.add_argument("--new-tokens", type=int, default=50)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--prompts", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    bench = Bench(arguments)

    speeds = Speeds(bench)
    ways = [Way(1, "self", "auto")]
    ways += [Way(ranks, communicator, move) for ranks in arguments.ranks
             for communicator in COMMUNICATORS for move in ("weights", "activations")]
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.model.parent) as directory:
        gguf = None
        if arguments.peers:
            from gguf_of_model import write_gguf
            gguf = pathlib.Path(directory) / "bf16.gguf"
            write_gguf(arguments.model, gguf, "BF16")
        for prompts in arguments.prompts:
            rows += measure(bench, ways, prompts, gguf, speeds)
    predict(bench, rows, speeds)
    show(rows)
    of_ways = [{"ranks": ranks, "communicator": communicator} | speeds.of(ranks, communicator)
               for ranks in arguments.ranks for communicator in COMMUNICATORS]
    for of_way in of_ways:
        print(", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                        for name, value in of_way.items()))
    gpus = predict_gpus(bench.initrt)
    print_gpus(gpus)
    if arguments.out:
        machine = {"cpu": platform.processor() or platform.machine(),
                   "cores": len(os.sched_getaffinity(0)), "kernel": platform.release()}
        arguments.out.write_text(json.dumps(
            {"machine": machine, "model": arguments.model.name, "runs": arguments.runs,
             "new_tokens": arguments.new_tokens,
             "speeds": of_ways,
             "rows": rows, "predicted_on_gpus": gpus}, indent=2) + "\n")


if __name__ == "__main__":
    main()
