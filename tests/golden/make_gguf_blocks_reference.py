#!/usr/bin/env python3
"""Writes tests/golden/gguf_blocks/blocks.safetensors: quantized blocks and the values that the gguf
package's dequantize() gives them.

Needs the packages gguf, numpy and safetensors:
    make_gguf_blocks_reference.py tests/golden/gguf_blocks

<type>.blocks  U8 [blocks, bytes of a block]: random codes, with scales that are ordinary, zero,
               negative zero, subnormal and the largest there are
<type>.values  F32 [blocks, elements of a block]
"""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize
from safetensors.numpy import save_file

# Where the float16 scales (and minima) of a block lie.
SCALES = {
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "IQ4_NL": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "MXFP4": [],
}
EXPONENTS = [0, 1, 2, 3, 127, 250, 251]
SPECIAL = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF]


def blocks_of(name, count, rng):
    elements, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    blocks[0, :] = 0x00
    blocks[1, :] = 0xFF
    for i in range(count):
        for place in SCALES[name]:
            scale = np.float16(rng.normal() * 0.02).view(np.uint16)
            if i < len(SPECIAL):
                scale = SPECIAL[(i + place) % len(SPECIAL)]
            blocks[i, place : place + 2] = [int(scale) & 0xFF, int(scale) >> 8]
    if name == "MXFP4":  # a power of two in a byte: the least, the largest that stay finite
        blocks[:, 0] = rng.integers(100, 150, count)
        blocks[: len(EXPONENTS), 0] = EXPONENTS
    return blocks


def main():
    rng = np.random.default_rng(1)
    tensors = {}
    for name in SCALES:
        elements, _ = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
        # Two whole tiles of 256 elements and some, but a file of tens of KB.
        blocks = blocks_of(name, 20 if elements == 32 else 9, rng)
        values = dequantize(blocks, GGMLQuantizationType[name]).astype(np.float32)
        tensors[f"{name}.blocks"] = blocks
        tensors[f"{name}.values"] = np.ascontiguousarray(values.reshape(len(blocks), elements))
        assert np.isfinite(values).all()
    save_file(
        tensors,
        Path(sys.argv[1]) / "blocks.safetensors",
        metadata={"gguf": version("gguf"), "numpy": np.__version__},
    )


if __name__ == "__main__":
    main()
