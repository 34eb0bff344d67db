"""What peers that end with a torch module have in common; their weights are bfloat16 on the CPU."""

import argparse
import pathlib
import time
from collections.abc import Callable

import torch
from transformers import AutoConfig, AutoModelForCausalLM

import peer
from transformers_decode import greedy

VALUES_OF_A_PAGE = 4096 // 2
SUMMED_AT_ONCE = 1 << 20


def new_module(model: pathlib.Path, dtype: torch.dtype = torch.bfloat16) -> torch.nn.Module:
    """The module that config.json describes, on the device that the context says."""
    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model), dtype=dtype).eval()


def meta_module(model: pathlib.Path) -> torch.nn.Module:
    """Without storage for weights. What is in no checkpoint, the rotary frequencies, is there."""
    with torch.device("meta"):
        module = new_module(model)
    remake_rotary(module)
    return module


def remake_rotary(module: torch.nn.Module) -> None:
    rotary = module.model.rotary_emb
    module.model.rotary_emb = type(rotary)(module.config)


def with_weights(model: pathlib.Path, tensors: dict[str, torch.Tensor]) -> torch.nn.Module:
    """A module whose weights are these tensors, not copies."""
    module = meta_module(model)
    module.load_state_dict(tensors, assign=True)
    return module


def safetensors_of(model: pathlib.Path) -> list[str]:
    return [str(file) for file in sorted(model.glob("*.safetensors"))]


def touch(module: torch.nn.Module) -> None:
    """Reads a value of each page of the weights, so that those of a mapped file are in memory."""
    for weight in module.parameters():
        weight.detach().view(torch.int16).flatten()[::VALUES_OF_A_PAGE].sum()


def sum_of_bits(weight: torch.Tensor) -> int:
    """In pieces: torch sums int16 in a copy as int64."""
    pieces = weight.detach().view(torch.int16).flatten().split(SUMMED_AT_ONCE)
    return sum(int(piece.sum(dtype=torch.int64)) for piece in pieces)


def run(load: Callable[[argparse.Namespace], torch.nn.Module], arguments: argparse.Namespace,
        mapped: bool = False, bits: bool = True) -> None:
    """Measures `load` and what it gives.

    mapped: its weights may be pages of a file that nobody has read yet.
    bits: they are those of the checkpoint.
    """
    torch.set_num_threads(arguments.threads)
    meta_module(arguments.model)  # imports what transformers imports late
    begin = time.perf_counter()
    module = load(arguments)
    figures = {"returned_seconds": time.perf_counter() - begin,
               "returned_peak_bytes": peer.peak_bytes()}
    if mapped:
        touch(module)
    figures |= {"load_seconds": time.perf_counter() - begin,
                "loaded_at": time.monotonic(), "peak_bytes": peer.peak_bytes()}
    with torch.inference_mode():
        prompt = torch.tensor([peer.prompt_ids(arguments.model)])
        tokens = (int(token) for token in greedy(module, prompt))
        figures |= peer.decoded(tokens, arguments.new_tokens)
        if arguments.check and bits:
            figures["checksum"] = sum(map(sum_of_bits, module.parameters()))
    peer.print_figures(figures)
