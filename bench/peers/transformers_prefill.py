#!/usr/bin/env python3
"""Tokens per second that transformers prefills, in bf16: the median of some prompts.

    python bench/peers/transformers_prefill.py MODEL THREADS TOKENS
"""

import statistics
import sys
import time

import torch
from transformers import AutoModelForCausalLM


def main() -> None:
    path, threads, tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16)
    prompt = torch.arange(tokens).remainder(200).unsqueeze(0)
    seconds = []
    with torch.inference_mode():
        for _ in range(4):
            begin = time.perf_counter()
            model(prompt, logits_to_keep=1)
            seconds.append(time.perf_counter() - begin)
    print(tokens / statistics.median(seconds[1:]))


if __name__ == "__main__":
    main()
