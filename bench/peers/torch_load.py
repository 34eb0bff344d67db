#!/usr/bin/env python3
"""torch alone, from pytorch_model.bin.

plain: the module is built on the CPU as its classes build it, in float32 with random weights, the
state dict is read beside it and copied into it, and the module is converted.
device: the module is built on the meta device, and the state dict's tensors become its weights.

    python bench/peers/torch_load.py MODEL plain|device
"""

import torch

import peer
import torch_peer


def load(arguments) -> torch.nn.Module:
    file = arguments.model / "pytorch_model.bin"
    if arguments.way == "device":
        return torch_peer.with_weights(arguments.model, torch.load(file))
    module = torch_peer.new_module(arguments.model, torch.float32)
    module.load_state_dict(torch.load(file))
    return module.to(torch.bfloat16)


if __name__ == "__main__":
    torch_peer.run(load, peer.arguments_of(__doc__, ("plain", "device")))
