#!/usr/bin/env python3
"""Writes tests/golden/checkpoints/: the same weights in every checkpoint format, each file written
by the library that people's files come from (torch, safetensors, transformers, gguf,
torch.distributed.checkpoint, PyYAML), and each one read back, undone with numpy and compared with
the weights bit by bit. Nothing of initrt is used. Needs bench/requirements.txt; takes about a
minute and gives the same bytes every time:

    python tests/golden/make_checkpoint_references.py tests/golden/checkpoints

manifest.json    for each model the SHA-256 of each tensor's float32 little-endian bytes, under its
                 Hugging Face name, [out, in], rotary halves split; and the libraries' versions
gqa/             bfloat16, 2 layers, 4 query heads on 2 key heads, in all the formats
  hf/            safetensors in one file, from save_pretrained()
  hf_sharded/    the same in three files with an index
  bin/           pytorch_model.bin: torch.save(model.state_dict())
  bin_sharded/   the same in two files with an index
  bin_legacy/    torch.save() before torch 1.6: no zip file
  bin_views/     every tensor a view: transposed, strided, sharing storage; one a Parameter; and
                 the rotary buffers of old files
  lit_gpt_old/   Lit-GPT of 2023: attn.attn interleaved by query group, pickle protocol 5
  lit_gpt/       LitGPT: attn.qkv stacked; its table is padded, as Llama 3's (90 of 96 are tokens)
  lit_gpt_trained/  the same under "model" beside a step, as LitGPT's training saves it
  meta/          consolidated.0N.pth of LLaMA 2, two ways tensor parallel; no vocabulary size
  meta3/         the same of Llama 3: the embedding cut by rows
  gguf/          GGUF, matrices BF16 and norms F32
  gguf_split/    the same in three files
  dcp/           torch.distributed.checkpoint from 3 processes, Shard(0), flat names
  dcp_2d/        the same from a 2x2 mesh, under "model", beside an optimizer and a step
mha/             float16, 1 layer, one head of 128: what Lit-LLaMA, which has no config, can hold
  hf/  gguf/  lit_llama/
gqa_tied/        one layer, the embedding is the head
  hf/            no lm_head.weight
  bin/           both names, one storage
hostile/         pickles that would run code: each creates the file that INITRT_HOSTILE names
"""

import hashlib
import json
import platform
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

import checkpoint_checks as checks
import checkpoint_dcp as dcp
import checkpoint_hostile as hostile
import checkpoint_writers as writers
import checkpoint_writers_lit as lit
from checkpoint_model import Model

GQA = dict(heads=4, kv_heads=2, head_size=8, intermediate=48, vocabulary=96, dtype=torch.bfloat16)
MODELS = {
    "gqa": Model(layers=2, seed=1, **GQA),
    "mha": Model(
        heads=1,
        kv_heads=1,
        head_size=128,
        intermediate=48,
        vocabulary=64,
        dtype=torch.float16,
        layers=1,
        seed=2,
    ),
    "gqa_tied": Model(layers=1, seed=3, tied=True, **GQA),
}

# Folder of each model: how it is written, how its tensors are read back.
FORMATS = {
    "gqa": {
        "hf": (writers.hf, checks.hf),
        "hf_sharded": (writers.hf_sharded, checks.hf),
        "bin": (writers.bin, checks.bin),
        "bin_sharded": (writers.bin_sharded, checks.bin),
        "bin_legacy": (writers.bin_legacy, checks.bin),
        "bin_views": (writers.bin_views, checks.bin),
        "lit_gpt_old": (lit.lit_gpt_old, checks.lit_gpt_old),
        "lit_gpt": (lit.lit_gpt, checks.lit_gpt),
        "lit_gpt_trained": (lit.lit_gpt_trained, checks.lit_gpt),
        "meta": (writers.meta, checks.meta),
        "meta3": (writers.meta3, checks.meta3),
        "gguf": (writers.gguf, checks.gguf),
        "gguf_split": (writers.gguf_split, checks.gguf),
        "dcp": (dcp.flat, checks.dcp_flat),
        "dcp_2d": (dcp.nested, checks.dcp_nested),
    },
    "mha": {
        "hf": (writers.hf, checks.hf),
        "gguf": (writers.gguf, checks.gguf),
        "lit_llama": (lit.lit_llama, checks.lit_llama),
    },
    "gqa_tied": {
        "hf": (writers.hf, checks.hf),
        "bin": (writers.bin, checks.tied_bin),
    },
}
PACKAGES = ["gguf", "numpy", "PyYAML", "safetensors", "torch", "transformers"]


def bits(tensor):
    """The float32 little-endian bytes of a tensor: -0 and 0 differ."""
    return np.ascontiguousarray(tensor, dtype="<f4").tobytes()


def main():
    root = Path(sys.argv[1])
    manifest = {"versions": {"python": platform.python_version()}, "models": {}}
    manifest["versions"] |= {package: version(package) for package in PACKAGES}
    for name, model in MODELS.items():
        expected = {key: bits(tensor.float().numpy()) for key, tensor in model.tensors().items()}
        for folder, (write, read) in FORMATS[name].items():
            path = root / name / folder
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
            write(model, path)
            found = {key: bits(tensor) for key, tensor in read(model, path).items()}
            assert found.keys() == expected.keys(), (path, found.keys() ^ expected.keys())
            for key in expected:
                assert found[key] == expected[key], f"{path}: {key} is not what was written"
            print(f"{path}: {len(found)} tensors as written")
        checks.forward(root / name / "hf")
        if (root / name / "gguf").exists():
            checks.same_logits(root / name / "hf", root / name / "gguf")
        manifest["models"][name] = {
            key: hashlib.sha256(content).hexdigest() for key, content in expected.items()
        }
    hostile.write(root / "hostile")
    checks.hostile(root / "hostile")
    (root / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
