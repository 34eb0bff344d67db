#!/usr/bin/env python3
"""accelerate: a module without storage, and load_checkpoint_and_dispatch.

    python bench/peers/accelerate_load.py MODEL
"""

import torch
from accelerate import init_empty_weights, load_checkpoint_and_dispatch

import peer
import torch_peer


def load(arguments) -> torch.nn.Module:
    with init_empty_weights(include_buffers=False):
        module = torch_peer.new_module(arguments.model)
    return load_checkpoint_and_dispatch(module, arguments.model, device_map={"": "cpu"},
                                        dtype=torch.bfloat16)


if __name__ == "__main__":
    torch_peer.run(load, peer.arguments_of(__doc__), mapped=True)
