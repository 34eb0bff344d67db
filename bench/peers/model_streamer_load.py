#!/usr/bin/env python3
"""Run:ai's model streamer, whose tensors become the weights of a module built on the meta device.

    python bench/peers/model_streamer_load.py MODEL
"""

import torch
from runai_model_streamer import SafetensorsStreamer

import peer
import torch_peer


def load(arguments) -> torch.nn.Module:
    with SafetensorsStreamer() as streamer:
        streamer.stream_files(torch_peer.safetensors_of(arguments.model))
        tensors = dict(streamer.get_tensors())
    return torch_peer.with_weights(arguments.model, tensors)


if __name__ == "__main__":
    torch_peer.run(load, peer.arguments_of(__doc__))
