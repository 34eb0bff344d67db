#!/usr/bin/env python3
"""Decoding with quantized weights beside bf16 and beside llama.cpp: same cores, in turn.

Each round runs every way once: initrt in bf16-true, llm.int8, nf4, fp4 and nf4-dq with a
checkpoint's weights, and with GGUF files that are made of them (Q4_0, Q8_0, all matrices) "stored",
as llama.cpp runs them. Prints medians of tokens per second after the first token, what they are of bf16's and of
llama.cpp's, and the weights' bytes times the rate: what was read a second. Load times of the first
five are printed too. Needs bench/requirements.txt and llama-cpp-python.

    python bench/make_model.py models/random-2.2GB --size 2.2GB
    python bench/quantized_decode.py models/random-2.2GB --initrt build/release/launch/initrt
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

import numpy as np
from gguf_of_model import write_gguf

PEER = pathlib.Path(__file__).parent / "peers/llama_cpp_decode.py"
TYPES = ["Q4_0", "Q8_0"]
METHODS = ["none", "llm.int8", "nf4", "fp4", "nf4-dq"]


def run(arguments, model: pathlib.Path, quantize: str) -> dict:
    """The report of one job."""
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.json"
        subprocess.run(
            [arguments.initrt, "--set", f"model={model}", "--set", f"tokenizer={arguments.model}",
             "--set", "generate.prompt=The", "--set", f"quantize={quantize}",
             "--set", f"generate.max_new_tokens={arguments.new_tokens}",
             "--set", "generate.ignore_eos=true", "--set", f"threads={arguments.threads}",
             "--progress", "off", "--report", str(report)], check=True, capture_output=True)
        return json.loads(report.read_text())


def llama_cpp_rate(path: pathlib.Path, arguments) -> tuple[float, bool]:
    """Tokens per second, and whether weights had to stay as they are in the file."""
    command = [sys.executable, PEER, path, str(arguments.threads), str(arguments.new_tokens)]
    done = subprocess.run(command, check=False, capture_output=True)
    plain = done.returncode < 0
    if plain:
        done = subprocess.run([*command, "--plain"], check=True, capture_output=True)
    done.check_returncode()
    return float(done.stdout), plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path, help="a Hugging Face directory in bf16")
    parser.add_argument("--initrt", default="build/release/launch/initrt")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--new-tokens", type=int, default=60)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()

    rates, loads, held, plain = {}, {}, {}, {}
    with tempfile.TemporaryDirectory(dir=arguments.model.parent) as directory:
        files = {kind: pathlib.Path(directory) / f"{kind}.gguf" for kind in TYPES}
        for kind, path in files.items():
            write_gguf(arguments.model, path, kind)
        for round_number in range(arguments.runs + 1):  # the first one warms the page cache
            jobs = [(method, arguments.model, method) for method in METHODS]
            jobs += [(f"stored {kind}", path, "stored") for kind, path in files.items()]
            for name, model, quantize in jobs:
                report = run(arguments, model, quantize)
                if round_number > 0:
                    rates.setdefault(name, []).append(report["generate"]["tokens_per_second"])
                    loads.setdefault(name, []).append(report["load"]["seconds"])
                    plan = report["memory"]["plan"]
                    held[name] = plan["shard"] + plan["resident"]
            for kind, path in files.items():
                rate, plain[f"llama.cpp {kind}"] = llama_cpp_rate(path, arguments)
                if round_number > 0:
                    rates.setdefault(f"llama.cpp {kind}", []).append(rate)
    rows = {}
    for name, values in rates.items():
        row = {"tokens_per_second": statistics.median(values), "runs": values}
        row["of_bf16"] = row["tokens_per_second"] / statistics.median(rates["none"])
        if name.startswith("stored"):
            peer = statistics.median(rates[name.replace("stored", "llama.cpp")])
            row["of_llama_cpp"] = row["tokens_per_second"] / peer
        if name in plain:
            row["weights_as_in_the_file"] = plain[name]
        if name in held:
            row["held_bytes"] = held[name]
            row["load_seconds"] = statistics.median(loads[name])
        rows[name] = row
        print(f"{name:>16}: {row['tokens_per_second']:6.1f} tokens/s, {row['of_bf16']:.2f} of bf16"
              + (f", {row['of_llama_cpp']:.2f} of llama.cpp" if "of_llama_cpp" in row else "")
              + (f", {row['held_bytes'] / 1e9:.2f} GB held, "
                 f"loaded in {row['load_seconds']:.2f} s" if name in held else "")
              + (", weights as in the file: packed anew, it ends by a signal" if plain.get(name)
                 else ""))
    if arguments.out:
        arguments.out.write_text(json.dumps({
            "machine": platform.platform(), "threads": arguments.threads,
            "model": arguments.model.name, "new_tokens": arguments.new_tokens,
            "numpy": np.__version__, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
