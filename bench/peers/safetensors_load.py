#!/usr/bin/env python3
"""safetensors' load_file, whose tensors become the weights of a module built on the meta device.

mmap, its default: they are pages of the mapped files. pread: they are read.

    python bench/peers/safetensors_load.py MODEL mmap|pread
"""

import torch
from safetensors.torch import load_file

import peer
import torch_peer


def load(arguments) -> torch.nn.Module:
    tensors = {}
    for file in torch_peer.safetensors_of(arguments.model):
        tensors |= load_file(file, backend=arguments.way)
    return torch_peer.with_weights(arguments.model, tensors)


if __name__ == "__main__":
    given = peer.arguments_of(__doc__, ("mmap", "pread"))
    torch_peer.run(load, given, mapped=given.way == "mmap")
