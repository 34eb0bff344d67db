#!/usr/bin/env python3
"""Decoding one prompt beside transformers: same weights, precision, cores and tokens, in turn.

Prints the median of tokens per second after the first token, prefill and loading left out, and the
ratio. Needs bench/requirements.txt.

    initrt convert --to safetensors --precision bf16-true models/SmolLM2-135M-Instruct.Q4_1.gguf models/smollm2-bf16
    python bench/decode_bench.py models/smollm2-bf16 --initrt build/release/launch/initrt
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import tempfile

import torch

from peers.transformers_decode import TransformersDecode

PROMPT = "Hello, my name is"


def initrt_rate(initrt: str, model: pathlib.Path, threads: int, new_tokens: int,
                precision: str) -> float:
    """Tokens per second after the first, from the report."""
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.json"
        subprocess.run(
            [initrt, "--set", f"model={model}", "--set", f"generate.prompt={PROMPT}",
             "--set", f"generate.max_new_tokens={new_tokens}", "--set", "generate.ignore_eos=true",
             "--set", f"precision={precision}", "--set", f"threads={threads}",
             "--progress", "off", "--report", str(report)], check=True, capture_output=True)
        return json.loads(report.read_text())["generate"]["tokens_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path, help="a Hugging Face directory in bf16")
    parser.add_argument("--initrt", default="build/release/launch/initrt")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--new-tokens", type=int, default=100)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--precision", choices=["bf16-true", "32-true"], default="bf16-true")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()

    dtype = torch.bfloat16 if arguments.precision == "bf16-true" else torch.float32
    peer = TransformersDecode(arguments.model, dtype, arguments.threads)
    peer.tokens_per_second(PROMPT, 8)  # warms its caches and kernels
    own, other = [], []
    for _ in range(arguments.runs):
        own.append(initrt_rate(arguments.initrt, arguments.model, arguments.threads,
                               arguments.new_tokens, arguments.precision))
        other.append(peer.tokens_per_second(PROMPT, arguments.new_tokens))
    mine, theirs = statistics.median(own), statistics.median(other)
    weights = sum(file.stat().st_size for file in arguments.model.glob("*.safetensors"))
    print(f"{arguments.precision}, {arguments.threads} threads: initrt {mine:.1f} tokens/s "
          f"({mine * weights / 1e9:.1f} GB/s of weights), transformers {theirs:.1f}, "
          f"ratio {mine / theirs:.2f}")
    if arguments.out:
        arguments.out.write_text(json.dumps({
            "machine": platform.platform(), "threads": arguments.threads,
            "precision": arguments.precision, "new_tokens": arguments.new_tokens,
            "torch": torch.__version__, "weight_bytes": weights,
            "initrt_tokens_per_second": mine, "transformers_tokens_per_second": theirs,
            "ratio": mine / theirs, "initrt_runs": own, "transformers_runs": other},
            indent=2) + "\n")


if __name__ == "__main__":
    main()
