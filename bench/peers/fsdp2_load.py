#!/usr/bin/env python3
"""FSDP2 over gloo, from a distributed checkpoint: each rank allocates and loads its shards.

All ranks decode the same prompt: a block is gathered for each step, and released after it.

    python -m torch.distributed.run --standalone --nproc-per-node N bench/peers/fsdp2_load.py MODEL
"""

import time

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.fsdp import fully_shard

import peer
import torch_peer
from transformers_decode import greedy


def load(arguments) -> torch.nn.Module:
    mesh = dist.init_device_mesh("cpu", (dist.get_world_size(),))
    module = torch_peer.meta_module(arguments.model)
    for layer in module.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)
    module.to_empty(device="cpu")
    torch_peer.remake_rotary(module)
    dcp.load(module.state_dict(), checkpoint_id=arguments.model)
    return module


def largest(value: float) -> float:
    """Of all ranks."""
    values = torch.tensor([value], dtype=torch.float64)
    dist.all_reduce(values, dist.ReduceOp.MAX)
    return float(values)


def local_checksum(module: torch.nn.Module) -> int:
    """Of all ranks' shards together."""
    total = torch.tensor([sum(torch_peer.sum_of_bits(weight.to_local())
                              for weight in module.parameters())])
    dist.all_reduce(total)
    return int(total)


def main() -> None:
    arguments = peer.arguments_of(__doc__)
    torch.set_num_threads(arguments.threads)
    dist.init_process_group("gloo")
    torch_peer.meta_module(arguments.model)  # imports what transformers imports late
    begin = time.perf_counter()
    with torch.no_grad():
        module = load(arguments)
        seconds = largest(time.perf_counter() - begin)
        figures = {"load_seconds": seconds, "loaded_at": time.monotonic(),
                   "peak_bytes": int(largest(peer.peak_bytes()))}
        if arguments.check:
            figures["checksum"] = local_checksum(module)
        prompt = torch.tensor([peer.prompt_ids(arguments.model)])
        tokens = (int(token) for token in greedy(module, prompt))
        figures |= peer.decoded(tokens, arguments.new_tokens)
    if dist.get_rank() == 0:
        peer.print_figures(figures)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
