#!/usr/bin/env python3
"""Loads a model with transformers, quantized by bitsandbytes or not, and prints the seconds.

    python bench/peers/transformers_load.py DIRECTORY none|llm.int8|nf4
"""

import sys
import time

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig


def main() -> None:
    directory, quantize = sys.argv[1:]
    config = {"none": None,
              "llm.int8": BitsAndBytesConfig(load_in_8bit=True),
              "nf4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                        bnb_4bit_compute_dtype=torch.bfloat16)}[quantize]
    begin = time.perf_counter()
    AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16, device_map="cpu",
                                         quantization_config=config)
    print(time.perf_counter() - begin)


if __name__ == "__main__":
    main()
