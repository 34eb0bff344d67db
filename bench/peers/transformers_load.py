#!/usr/bin/env python3
"""transformers' from_pretrained, quantized by bitsandbytes or not.

Without quantization its weights are pages of the mapped files.

    python bench/peers/transformers_load.py MODEL none|llm.int8|nf4
"""

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

import peer
import torch_peer

CONFIGS = {"none": None,
           "llm.int8": BitsAndBytesConfig(load_in_8bit=True),
           "nf4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                     bnb_4bit_compute_dtype=torch.bfloat16)}


def load(arguments) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(
        arguments.model, dtype=torch.bfloat16, device_map="cpu",
        quantization_config=CONFIGS[arguments.way]).eval()


if __name__ == "__main__":
    given = peer.arguments_of(__doc__, tuple(CONFIGS))
    if CONFIGS[given.way]:
        import bitsandbytes  # noqa: F401  as other peers' imports, not part of loading
    as_stored = given.way == "none"
    torch_peer.run(load, given, mapped=as_stored, bits=as_stored)
