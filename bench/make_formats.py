#!/usr/bin/env python3
"""Writes one model of random weights in several checkpoint formats, each by the library that people's
files come from, with the writers of tests/golden. For measuring what a format costs to load: the
weights, and so the bytes needed, are the same in all. Needs bench/requirements.txt, and about three
times the model's size of memory.

    python bench/make_formats.py models/formats --layers 6
"""

import argparse
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"))

import checkpoint_dcp as dcp  # noqa: E402
import checkpoint_writers as writers  # noqa: E402
import checkpoint_writers_lit as lit  # noqa: E402
from checkpoint_model import Model  # noqa: E402


def hf(model, folder):
    writers.hf(model, folder, max_shard_size="5GB")


def bin_transposed(model, folder):
    """Every matrix saved as the transposed view of a contiguous one."""
    writers.write_old_config(model, folder)
    state = {name: tensor.t().contiguous().t() if tensor.dim() == 2 else tensor
             for name, tensor in model.tensors().items()}
    torch.save(state, folder / "pytorch_model.bin")


# What each costs to undo: nothing; nothing; rows apart; rows apart and fused; columns over two files
# and rows apart; rows by group; boxes of four ranks; every row a column.
FORMATS = {
    "safetensors": hf,
    "bin": writers.bin,
    "gguf": writers.gguf,
    "lit_llama": lit.lit_llama,
    "meta": writers.meta,
    "lit_gpt_old": lit.lit_gpt_old,
    "dcp_2d": dcp.nested,
    "bin_transposed": bin_transposed,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=6)
    arguments = parser.parse_args()
    # As many KV heads as heads: what Lit-LLaMA can hold.
    model = Model(heads=16, kv_heads=16, head_size=128, intermediate=5632, vocabulary=32000,
                  dtype=torch.bfloat16, layers=arguments.layers, seed=1)
    for name, write in FORMATS.items():
        folder = arguments.folder / name
        folder.mkdir(parents=True)
        write(model, folder)
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{folder}: {size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
