#!/usr/bin/env python3
"""Writes a Hugging Face checkpoint of a given size and shape with random weights.

For measuring loading: the layout is that of a real model (config.json, sharded bf16 safetensors
with an index, a byte-level tokenizer.json), the text it generates is noise. The number of blocks
follows from the size; an element's value depends on the seed, the tensor's name and its place
alone, so the same arguments always give the same bytes. Memory stays at one tensor, whatever the
size. Needs numpy.

    python bench/make_model.py models/random-1.5GB --size 1.5GB
    python bench/make_model.py models/experts-8GB --size 8GB --shape deepseek
"""

import argparse
import json
import pathlib
import re
import struct
import sys
import zlib

import numpy as np
from model_shapes import SHAPES, VOCABULARY, Tensors

ROWS_AT_A_TIME = 1024  # at most 1024 x 5632 float32 values (23 MB) in memory
BYTES_PER_ELEMENT = 2


def parse_bytes(text: str) -> int:
    """'1.5GB' or '512MiB' in bytes."""
    match = re.fullmatch(r"([0-9.]+)\s*([KMGT]?)(i?)B?", text.strip(), re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 1.5GB or 512MiB")
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** " KMGT".index(match[2].upper() or " "))


def model_tensors(shape, layers: int) -> Tensors:
    """Names and shapes of the whole model, in execution order."""
    tensors = [("model.embed_tokens.weight", (VOCABULARY, shape.hidden))]
    for layer in range(layers):
        tensors += shape.block(layer)
    return [*tensors, ("model.norm.weight", (shape.hidden,)),
            ("lm_head.weight", (VOCABULARY, shape.hidden))]


def tensor_bytes(shape: tuple[int, ...]) -> int:
    return BYTES_PER_ELEMENT * int(np.prod(shape))


def total_bytes(tensors: Tensors) -> int:
    return sum(tensor_bytes(shape) for _, shape in tensors)


def blocks_for(shape, size: int) -> int:
    """The number of blocks with which the model comes nearest to `size` bytes."""
    first = shape.first_blocks
    block = total_bytes(shape.block(first))
    return max(first + 1, first + round((size - total_bytes(model_tensors(shape, first))) / block))


def bf16_bits(values: np.ndarray) -> np.ndarray:
    """float32 to bfloat16, to nearest even; the values here are finite."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def write_tensor(out, name: str, shape: tuple[int, ...], seed: int) -> None:
    if len(shape) == 1:  # norm weights: ones, as in an untrained model
        out.write(bf16_bits(np.ones(shape, np.float32)).tobytes())
        return
    generator = np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(name.encode())]))
    rows, columns = shape
    scale = np.float32(columns**-0.5)  # keeps activations at unit size
    for first in range(0, rows, ROWS_AT_A_TIME):
        count = min(ROWS_AT_A_TIME, rows - first)
        values = generator.standard_normal((count, columns), np.float32)
        out.write(bf16_bits(values * scale).tobytes())


def write_shard(path: pathlib.Path, tensors: Tensors, seed: int) -> None:
    """One safetensors file: header length (u64), JSON header padded to 8 bytes, payload."""
    header: dict = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in tensors:
        begin, end = end, end + tensor_bytes(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors:
            write_tensor(out, name, shape, seed)


def split_into_shards(tensors, shard_size: int) -> list[list]:
    """Consecutive tensors in files of at most `shard_size` bytes (a larger tensor has its own)."""
    shards: list[list] = [[]]
    used = 0
    for name, shape in tensors:
        size = tensor_bytes(shape)
        if shards[-1] and used + size > shard_size:
            shards.append([])
            used = 0
        shards[-1].append((name, shape))
        used += size
    return shards


def byte_alphabet() -> list[str]:
    """The printable character that stands for each byte in byte-level BPE (GPT-2's table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    characters = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        if byte not in characters:
            characters[byte] = chr(256 + len(characters) - len(printable))
    return [characters[byte] for byte in range(256)]


def tokenizer() -> dict:
    """Byte-level BPE without merges: a token is a byte and has the byte as its id."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
        "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {character: id for id, character in enumerate(byte_alphabet())},
                  "merges": []},
    }


def write_json(path: pathlib.Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=pathlib.Path, help="the folder to write; must be empty")
    parser.add_argument("--size", type=parse_bytes, default="1.5GB", help="default: %(default)s")
    parser.add_argument("--shape", choices=SHAPES, default="llama", help="default: %(default)s")
    parser.add_argument("--shard-size", type=parse_bytes, default="500MB", help="of one file")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    directory = arguments.directory
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        parser.error(f"{directory} is not empty")

    shape = SHAPES[arguments.shape]
    layers = blocks_for(shape, arguments.size)
    tensors = model_tensors(shape, layers)
    shards = split_into_shards(tensors, arguments.shard_size)
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        print(f"{directory / file}: {len(shard)} tensors", file=sys.stderr)
        write_shard(directory / file, shard, arguments.seed)
        weight_map |= {name: file for name, _ in shard}

    total = total_bytes(tensors)
    write_json(directory / "config.json", shape.config(layers))
    write_json(directory / "tokenizer.json", tokenizer())
    # The index comes last: a folder that has one is complete.
    write_json(directory / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": weight_map})
    print(f"{layers} blocks, {total / BYTES_PER_ELEMENT / 1e6:.0f} M parameters, "
          f"{total / 1e9:.2f} GB in {len(shards)} files", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
