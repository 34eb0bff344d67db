#!/usr/bin/env python3
"""Writes tests/golden/families/: for each case of family_cases/ the logits that transformers
gives for a tiny model of the family, whose weights are not stored but generated: from the same
rule here and in tests/golden/family_checkpoint.cpp. Nothing of initrt is used. Needs
bench/requirements.txt; takes about three minutes:

    python tests/golden/make_family_references.py [CASE...]

families/tokens.json           64 token ids
families/<case>/config.json    as the hub has it; most cases in the keys of transformers 4
families/<case>/tensors.json   the tensors of a published checkpoint: {name: {shape, scale,
                               offset}}, and values_of: whose values this is, where not its own
families/<case>/logits.npy     [64, vocabulary], float32: 48 tokens at once, then 16 one by one
                               with the KV cache
families/about.json            largest differences of the logits: from the same pass in float64, and
                               for each changed key of the config; and the libraries' versions

Element i of a tensor is offset + scale * u, in float32: u of [-1, 1) are the top 24 bits of
splitmix64(FNV-1a-64(name) + i), less 1. The files with those values go through from_pretrained(),
which must find a tensor for every parameter and a parameter for every tensor. The case is refused
where the float64 pass is not within 2e-5, or where a changed key of the config (an ablation) or a
changed parameter moves no logit by 0.01.
"""

import json
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from family_cases import CASES, ROPE, VOCABULARY

FOLDER = Path(__file__).parent / "families"
TOKENS, PREFILL = 64, 48
LEAST_EFFECT, MOST_ROUNDING = 1e-2, 2e-5
ROUTERS = ("gate.weight", "router.weight", "router.layer.weight", "router.proj.weight")
PACKAGES = ["numpy", "safetensors", "torch", "transformers"]


def uniform(name, count):
    """`count` float32 values of [-1, 1) that depend on the name alone."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    z = np.arange(count, dtype=np.uint64) + np.uint64(state) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - np.float32(1)


def scale_and_offset(case, name, shape):
    """By what the tensor is: multiples of 1/4096, so that float32 has them exactly."""
    model_type = case.config.model_type
    one_more = model_type.startswith(("gemma", "qwen3_next", "qwen3_5"))
    one_more = one_more and model_type != "gemma4_text"
    if name.endswith("A_log"):
        return 1.0, -2.0  # so that states outlast some tokens
    if name.endswith("conv1d.weight"):
        return 0.75, 0.0
    if name.endswith("e_score_correction_bias"):
        return 0.125, 0.0  # so that no expert is never chosen
    if name.endswith(("layer_scalar", "router.scale", "per_expert_scale")):
        return 0.25, 1.0
    if name.endswith("bias"):
        return 0.25, 0.0
    if "norm" in name or "ln_" in name:
        return 0.25, 0.0 if one_more and not name.endswith("linear_attn.norm.weight") else 1.0
    if "embed" in name or "wte" in name or "wpe" in name or len(shape) < 2:
        return 1.0, 0.0
    transposed = case.config.model_type == "gpt2" and name != "lm_head.weight"
    inputs = shape[0] if transposed else np.prod(shape[1:])
    if len(shape) == 3:  # of all experts
        inputs = shape[1 if model_type in ("gpt_oss", "llama4_text") else 2]
    # Queries and keys larger: attention is not uniform. Routers larger: no choice is close.
    wide = any(part in name for part in ("q_proj", "k_proj", "qkv", "query_key", "c_attn"))
    factor = 3.0 if name.endswith(ROUTERS) else 2.0 if wide else 1.5
    return round(factor / np.sqrt(inputs) * 4096) / 4096, 0.0


def stack_experts(stored):
    """The same shapes with all experts of a layer in one tensor, gate in front of up."""
    stacked = {}
    for name, shape in stored.items():
        module, found, rest = name.partition(".mlp.experts.")
        if not found:
            stacked[name] = shape
            continue
        number, part, _ = rest.split(".")
        both = part in ("gate_proj", "up_proj")
        one = [shape[0] * 2, shape[1]] if both else list(shape)
        key = f"{module}.mlp.experts.{'gate_up_proj' if both else part}"
        stacked[key] = [max(int(number) + 1, stacked.get(key, [0])[0]), *one]
    return stacked


def describe(case, stored):
    """tensors.json from the shapes that save_pretrained wrote."""
    shapes = {}
    for name, shape in (stack_experts(stored) if case.stacked else stored).items():
        had, has = case.rename
        shapes[has + name.removeprefix(had) if name.startswith(had) else name] = shape
    tensors = {}
    for name, shape in (shapes | case.unused).items():
        scale, offset = scale_and_offset(case, name, shape)
        tensors[name] = {"shape": shape, "scale": scale, "offset": offset}
    for name, other in case.copies.items():
        tensors[name] = tensors[other] | {"values_of": other}
    return dict(sorted(tensors.items()))


def generate(tensors):
    values = {}
    for name, about in tensors.items():
        u = uniform(about.get("values_of", name), int(np.prod(about["shape"])))
        value = np.float32(about["offset"]) + np.float32(about["scale"]) * u
        values[name] = torch.from_numpy(value.reshape(about["shape"]))
    return values


def change(config, path, value):
    """Sets what a dotted path names."""
    *outer, last = path.split(".")
    for key in outer:
        config = config[key]
    config[last] = value


def with_old_keys(config):
    """The same config as transformers 4 wrote it."""
    config = {key: with_old_keys(value) if key == "text_config" else value
              for key, value in config.items()}  # fmt: skip
    if "dtype" in config:
        config["torch_dtype"] = config.pop("dtype")
    rope = config.pop(ROPE, None)
    if rope is None:
        return config
    by_layer_type = "full_attention" in rope
    if by_layer_type:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    neox = config["model_type"] == "gpt_neox"
    config["rotary_emb_base" if neox else "rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        factor = rope.pop("partial_rotary_factor")
        config["rotary_pct" if neox else "partial_rotary_factor"] = factor
    if rope["rope_type"] in ("linear", "dynamic", "longrope") and not by_layer_type:
        rope["type"] = rope.pop("rope_type")  # they are older than that key
    config["rope_scaling"] = None if rope.get("rope_type") == "default" else rope
    return config


def text_config_of(model_type, config):
    """The config of a model that sees, whose text_config this is."""
    name = config.pop("architectures")[0].replace("ForCausalLM", "ForConditionalGeneration")
    tied = config.get("tie_word_embeddings", False)
    return {"architectures": [name], "model_type": model_type, "tie_word_embeddings": tied,
            "text_config": dict(sorted(config.items()))}  # fmt: skip


def config_of(case, folder):
    """config.json as the hub would have it, from what save_pretrained wrote."""
    config = json.loads((folder / "config.json").read_text())
    if case.old_keys:
        config = with_old_keys(config)
        del config["transformers_version"]
    for path, value in case.hub.items():
        change(config, path, value)
    for path in case.absent.split():
        *outer, last = path.split(".")
        (config[outer[0]] if outer else config).pop(last, None)
    if case.text_of:
        config = text_config_of(case.text_of, config)
    return dict(sorted(config.items()))


def auto_class(model_type):
    """What makes the whole of a model, where that also sees and is not known as one of text."""
    return AutoModelForImageTextToText if model_type == "kimi_k25" else AutoModelForCausalLM


def load(config, folder, unused=()):
    """The model of folder/model.safetensors under a config, with nothing missing or left over."""
    (folder / "config.json").write_text(json.dumps(config))
    # Falcon's eager attention of transformers 5.24 adds ALiBi's biases twice, once with the mask.
    attention = "sdpa" if config.get("alibi") else "eager"
    model, info = auto_class(config["model_type"]).from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention, experts_implementation="eager",
        output_loading_info=True,
    )  # fmt: skip
    info["unexpected_keys"] -= set(unused)
    assert not any(info.values()), info
    return model.eval()


@torch.inference_mode()
def logits_of(model, ids):
    """[tokens, vocabulary]: the prefill in one pass, then token by token with the cache."""
    cache, rows = None, []
    for step in [ids[:PREFILL], *([token] for token in ids[PREFILL:])]:
        output = model(torch.tensor([step]), past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        rows.append(output.logits[0])
    return torch.cat(rows).double().numpy()


def difference(a, b):
    return float(np.abs(a - b).max())


def parameters_that_do_nothing(case, model, ids, expected):
    """Names of the parameters, experts one by one, without which the logits are the same."""
    names = []
    for name, parameter in model.named_parameters():
        if any(part in name for part in case.unread.split()):
            continue
        experts = parameter.dim() == 3 and "conv1d" not in name
        experts = experts or name.endswith("per_expert_scale")  # norms hide a factor of all
        for index, part in enumerate(parameter.data if experts else [parameter.data]):
            kept = part.clone()
            part.mul_(1.5).add_(0.1)
            if difference(logits_of(model, ids), expected) < LEAST_EFFECT:
                names.append(f"{name}[{index}]")
            part.copy_(kept)
    return names


def make(name, case, ids):
    """Writes a case. @returns what about.json says of it."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        torch.manual_seed(0)
        model = auto_class(case.config.model_type).from_config(case.config(**case.values))
        model.save_pretrained(folder)
        with safe_open(folder / "model.safetensors", "np") as file:
            stored = {key: file.get_slice(key).get_shape() for key in file.keys()}
        config = config_of(case, folder)
        tensors = describe(case, stored)
        save_file(generate(tensors), folder / "model.safetensors", {"format": "pt"})

        model = load(config, folder, case.unused)
        logits = logits_of(model, ids)
        about = {"float64": difference(logits, logits_of(load(config, folder, case.unused).double(), ids))}
        for key, value in case.changes.items():
            other = json.loads(json.dumps(config))
            change(other, key, value)
            about[key] = difference(logits, logits_of(load(other, folder, case.unused), ids))
        idle = parameters_that_do_nothing(case, model, ids, logits)
    print(f"{name}: largest logit {np.abs(logits).max():.3g}; differences:",
          ", ".join(f"{key} {value:.2g}" for key, value in about.items()))  # fmt: skip
    assert about["float64"] < MOST_ROUNDING, about
    assert min([1, *(value for key, value in about.items() if key != "float64")]) > LEAST_EFFECT
    assert not idle, f"no logit depends on {idle}"

    target = FOLDER / name
    target.mkdir(parents=True, exist_ok=True)
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in tensors.items())
    (target / "tensors.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    np.save(target / "logits.npy", logits.astype(np.float32))
    return {key: float(f"{value:.3g}") for key, value in about.items()}


def main():
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    ids = ((uniform("tokens", TOKENS) + 1) / 2 * VOCABULARY).astype(int).tolist()
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "tokens.json").write_text(json.dumps(ids) + "\n")
    path = FOLDER / "about.json"
    about = json.loads(path.read_text()) if path.exists() else {"largest_differences": {}}
    for name in sys.argv[1:] or CASES:
        about["largest_differences"][name] = make(name, CASES[name], ids)
    about["versions"] = {"python": platform.python_version()}
    about["versions"] |= {package: version(package) for package in PACKAGES}
    path.write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()
