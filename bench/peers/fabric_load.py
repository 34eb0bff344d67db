#!/usr/bin/env python3
"""Lightning Fabric, from pytorch_model.bin: the module is built in its device and precision at once.

init_module: with random weights, into which Fabric loads the state dict.
lazy: without initializing them, and each tensor is read when it is copied into its weight.

    python bench/peers/fabric_load.py MODEL init_module|lazy
"""

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.load import _lazy_load

import peer
import torch_peer


def load(arguments) -> torch.nn.Module:
    file = arguments.model / "pytorch_model.bin"
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-true")
    lazy = arguments.way == "lazy"
    with fabric.init_module(empty_init=lazy):
        module = torch_peer.new_module(arguments.model)
    if lazy:
        module.load_state_dict(_lazy_load(file))
    else:
        fabric.load_raw(file, module)
    torch_peer.remake_rotary(module)  # Fabric made it in bfloat16
    return module


if __name__ == "__main__":
    torch_peer.run(load, peer.arguments_of(__doc__, ("init_module", "lazy")))
