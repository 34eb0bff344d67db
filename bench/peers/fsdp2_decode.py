#!/usr/bin/env python3
"""Tokens per second of FSDP2 (torch's fully_shard over gloo, transformers' LLaMA in bfloat16).

Every rank decodes its own prompts greedily, with a KV cache; each block is gathered for each step
and released after it, as FSDP2 does by default. Rank 0 prints the rate of all ranks together.

    python -m torch.distributed.run --standalone --nproc-per-node N \
        bench/peers/fsdp2_decode.py MODEL THREADS PROMPTS_PER_RANK NEW_TOKENS
"""

import sys
import time

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM

from transformers_decode import greedy


def main() -> None:
    path, threads, prompts, new_tokens = sys.argv[1], *map(int, sys.argv[2:5])
    torch.set_num_threads(threads)
    dist.init_process_group("gloo")
    mesh = dist.init_device_mesh("cpu", (dist.get_world_size(),))
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16).eval()
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    with torch.inference_mode(False), torch.no_grad():
        tokens = greedy(model, torch.tensor([[1, 2, 3, 4]] * prompts))
        next(tokens)
        dist.barrier()
        begin = time.perf_counter()
        for _ in range(new_tokens):
            next(tokens)
        elapsed = time.perf_counter() - begin
    if dist.get_rank() == 0:
        print(new_tokens * prompts * dist.get_world_size() / elapsed)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
