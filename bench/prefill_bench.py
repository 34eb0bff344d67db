#!/usr/bin/env python3
"""Prefill: tokens of prompts per second, beside transformers (torch) and llama.cpp, in turn in one run.

initrt answers several prompts with one token each, one after the other, of which all but the first
are counted. The peers are called again and again in one process.

    python bench/prefill_bench.py models/random-2.2GB
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from gguf_of_model import write_gguf

HERE = pathlib.Path(__file__).parent


def initrt_rate(arguments: argparse.Namespace, tokens: int) -> float:
    """Prompts have `tokens` bytes, each a token. All but the first are counted: it waits for weights."""
    text = "abcdefghijklmnop" * (tokens // 16)
    more = max(2, 4096 // tokens)
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.json"
        subprocess.run(
            [arguments.initrt, "--set", f"model={arguments.model}", "--set", "precision=bf16-true",
             "--set", f"threads={arguments.threads}", "--set", "generate.batch=1",
             "--set", f"generate.prompts={json.dumps([text] * (1 + more))}",
             "--set", "generate.max_new_tokens=1", "--progress", "off", "--report", str(report)],
            check=True, capture_output=True)
        generate = json.loads(report.read_text())["generate"]
        return more * tokens / (generate["seconds"] - generate["first_token_seconds"])


def peer_rate(script: str, model: str, arguments: argparse.Namespace, tokens: int) -> float:
    done = subprocess.run([sys.executable, str(HERE / "peers" / script), model,
                           str(arguments.threads), str(tokens)],
                          check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--initrt", default="build/release/launch/initrt")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", default="256,1024", help="lengths of prompts")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.model.parent) as directory:
        gguf = pathlib.Path(directory) / "bf16.gguf"
        write_gguf(arguments.model, gguf, "BF16")
        rows = compare(arguments, gguf)
    if arguments.out:
        arguments.out.write_text(
            json.dumps({"threads": arguments.threads, "rows": rows}, indent=1) + "\n")


def compare(arguments: argparse.Namespace, gguf: pathlib.Path) -> list[dict]:
    measure = {"initrt": lambda n: initrt_rate(arguments, n),
               "transformers": lambda n: peer_rate("transformers_prefill.py", str(arguments.model),
                                                   arguments, n),
               "llama.cpp": lambda n: peer_rate("llama_cpp_prefill.py", str(gguf), arguments, n)}
    rows = []
    for tokens in map(int, arguments.tokens.split(",")):
        rates = {name: [] for name in measure}
        for run in range(arguments.runs):
            names = list(measure)
            for name in names[run % len(names):] + names[:run % len(names)]:
                rates[name].append(measure[name](tokens))
        medians = {name: statistics.median(values) for name, values in rates.items()}
        rows.append({"tokens": tokens, "tokens_per_second": rates, "medians": medians})
        print(f"{tokens} tokens: " + ", ".join(
            f"{name} {rate:.0f} tokens/s" + ("" if name == "initrt" else
                                             f" (initrt {medians['initrt'] / rate:.2f} of it)")
            for name, rate in medians.items()), flush=True)
    return rows


if __name__ == "__main__":
    main()
