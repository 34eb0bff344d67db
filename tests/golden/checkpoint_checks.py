"""Reads each format of make_checkpoint_references.py back with the plain loader of its library and
undoes the layout with numpy: (model, folder) to the canonical tensors in float32."""

import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf as gguf_library
import numpy as np
import torch
import torch.distributed.checkpoint
import yaml
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

GGUF_NAMES = {
    r"token_embd\.": "model.embed_tokens.",
    r"output_norm\.": "model.norm.",
    r"^output\.": "lm_head.",
    r"blk\.": "model.layers.",
    r"attn_(q|k|v)\.": r"self_attn.\1_proj.",
    r"attn_output\.": "self_attn.o_proj.",
    r"ffn_(gate|up|down)\.": r"mlp.\1_proj.",
    r"attn_norm\.": "input_layernorm.",
    r"ffn_norm\.": "post_attention_layernorm.",
}
META_NAMES = {
    r"tok_embeddings\.": "model.embed_tokens.",
    r"^norm\.": "model.norm.",
    r"output\.": "lm_head.",
    r"^layers\.": "model.layers.",
    r"attention\.w(.)\.": r"self_attn.\1_proj.",
    r"feed_forward\.w1\.": "mlp.gate_proj.",
    r"feed_forward\.w2\.": "mlp.down_proj.",
    r"feed_forward\.w3\.": "mlp.up_proj.",
    r"attention_norm\.": "input_layernorm.",
    r"ffn_norm\.": "post_attention_layernorm.",
}
LIT_NAMES = {
    r"scale$": "weight",
    r"transformer\.wte\.": "model.embed_tokens.",
    r"transformer\.ln_f\.": "model.norm.",
    r"transformer\.h\.": "model.layers.",
    r"(norm|rms)_1\.": "input_layernorm.",
    r"(norm|rms)_2\.": "post_attention_layernorm.",
    r"attn\.(c_)?proj\.": "self_attn.o_proj.",
    r"mlp\.(fc_|c_fc)1\.": "mlp.gate_proj.",
    r"mlp\.(fc_|c_fc)2\.": "mlp.up_proj.",
    r"mlp\.(c_)?proj\.": "mlp.down_proj.",
}


def load(path, **options):
    return torch.load(path, map_location="cpu", **({"weights_only": True} | options))


def values(state):
    return {name: tensor.detach().float().numpy() for name, tensor in state.items()}


def renamed(tensors, names):
    result = {}
    for name, tensor in tensors.items():
        for pattern, replacement in names.items():
            name = re.sub(pattern, replacement, name)
        result[name] = tensor
    return result


def halves(matrix, head_size):
    """[heads, pairs, 2, in] to [heads, 2, pairs, in]."""
    pairs = matrix.reshape(-1, head_size // 2, 2, matrix.shape[1])
    return pairs.swapaxes(1, 2).reshape(matrix.shape)


def halves_of_rotary(model, tensors):
    return {
        name: halves(tensor, model.head_size) if re.search(r"\.[qk]_proj", name) else tensor
        for name, tensor in tensors.items()
    }


def hf(model, folder):
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(path)
    index = folder / "model.safetensors.index.json"
    if index.exists():
        assert json.loads(index.read_text())["weight_map"].keys() == tensors.keys()
    return values(tensors)


def bin(model, folder):
    tensors = {}
    for path in sorted(folder.glob("*.bin")):
        tensors |= load(path)
    return {name: t for name, t in values(tensors).items() if not name.endswith("inv_freq")}


def tied_bin(model, folder):
    state = load(folder / "pytorch_model.bin")
    head = state.pop("lm_head.weight")
    assert head.data_ptr() == state["model.embed_tokens.weight"].data_ptr()
    return values(state)


def lit(folder, fused_name, split):
    """split(matrix) gives q, k and v."""
    state = load(next(folder.glob("*.pth")), weights_only=False)
    tensors = renamed(values(state.get("model", state)), LIT_NAMES)
    for name in [name for name in tensors if fused_name in name]:
        for part, matrix in zip("qkv", split(tensors.pop(name))):
            tensors[name.replace(fused_name, f"self_attn.{part}_proj.")] = matrix
    return tensors


def lit_gpt_old(model, folder):
    config = json.loads((folder / "lit_config.json").read_text())

    def split(matrix):
        groups = config["n_query_groups"]
        heads = matrix.reshape(groups, -1, model.head_size, matrix.shape[1])
        parts = heads[:, :-2], heads[:, -2], heads[:, -1]
        return [part.reshape(-1, matrix.shape[1]) for part in parts]

    return lit(folder, "attn.attn.", split)


def lit_gpt(model, folder):
    config = yaml.safe_load((folder / "model_config.yaml").read_text())
    ends = np.cumsum([config["n_head"], config["n_query_groups"]]) * config["head_size"]
    return lit(folder, "attn.qkv.", lambda matrix: np.split(matrix, ends))


def lit_llama(model, folder):
    tensors = lit(folder, "attn.c_attn.", lambda matrix: np.split(matrix, 3))
    return halves_of_rotary(model, tensors)


def meta(model, folder, embedding_axis=1):
    parts = [values(load(path)) for path in sorted(folder.glob("consolidated.*.pth"))]
    assert len(parts) == 2
    tensors = {}
    for name in parts[0]:
        if name == "rope.freqs":
            continue
        if "norm" in name:
            assert np.array_equal(parts[0][name], parts[1][name])
            tensors[name] = parts[0][name]
            continue
        axis = 1 if re.search(r"\.wo\.|\.w2\.", name) else 0
        axis = embedding_axis if "tok_embeddings" in name else axis
        tensors[name] = np.concatenate([part[name] for part in parts], axis)
    return halves_of_rotary(model, renamed(tensors, META_NAMES))


def meta3(model, folder):
    return meta(model, folder, embedding_axis=0)


def gguf(model, folder):
    tensors = {}
    paths = sorted(folder.glob("*.gguf"))
    for i, path in enumerate(paths):
        reader = gguf_library.GGUFReader(path)
        if len(paths) > 1:
            assert reader.get_field("split.no").contents() == i
            assert reader.get_field("split.count").contents() == len(paths)
        for tensor in reader.tensors:
            tensors[tensor.name] = gguf_library.dequantize(tensor.data, tensor.tensor_type)
    return halves_of_rotary(model, renamed(tensors, GGUF_NAMES))


def dcp_flat(model, folder):
    state = {name: torch.empty(shape, dtype=model.dtype) for name, shape in model.shapes().items()}
    torch.distributed.checkpoint.load(state, checkpoint_id=folder, no_dist=True)
    return values(state)


def dcp_nested(model, folder):
    weights = {name: torch.empty(s, dtype=model.dtype) for name, s in model.shapes().items()}
    state = {"model": weights, "step": 0}
    torch.distributed.checkpoint.load(state, checkpoint_id=folder, no_dist=True)
    assert state["step"] == 7
    return values(state["model"])


def logits(folder, **options):
    module = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)
    with torch.inference_mode():
        return module(torch.arange(24).reshape(2, 12) * 2 + 1).logits


def forward(folder):
    assert torch.isfinite(logits(folder)).all()


def same_logits(folder, gguf_folder):
    """Also by transformers' own GGUF loader, which splits the rotary halves by itself."""
    assert torch.equal(logits(folder), logits(gguf_folder, gguf_file="model.gguf"))


# Unpickles argument 1 with nothing forbidden.
UNPICKLE = """
import pickle, sys, torch
path = sys.argv[1]
if path.endswith(".pth"):
    torch.load(path, weights_only=False)
else:
    pickle.load(open(path, "rb"))
"""


def hostile(folder):
    """Each file runs its code where anything may run, and torch's safe loader refuses it."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with tempfile.TemporaryDirectory() as place:
            mark = Path(place) / "mark"
            environment = os.environ | {"INITRT_HOSTILE": str(mark)}
            subprocess.run([sys.executable, "-c", UNPICKLE, path], env=environment, check=True)
            assert mark.exists(), path
        if path.suffix != ".pth":
            continue
        try:
            load(path)
        except pickle.UnpicklingError:
            continue
        raise AssertionError(f"{path} was loaded")
