#!/usr/bin/env python3
"""fastsafetensors, whose tensors become the weights of a module built on the meta device.

    python bench/peers/fastsafetensors_load.py MODEL
"""

import torch
from fastsafetensors import fastsafe_open

import peer
import torch_peer


def load(arguments) -> torch.nn.Module:
    files = torch_peer.safetensors_of(arguments.model)
    with fastsafe_open(files, device="cpu", nogds=True) as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}
    return torch_peer.with_weights(arguments.model, tensors)


if __name__ == "__main__":
    torch_peer.run(load, peer.arguments_of(__doc__))
