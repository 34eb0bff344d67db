#!/usr/bin/env python3
"""Writes tests/golden/lit_families/: for each case the logits that LitGPT gives for a tiny model of
one of its own configs, whose weights are not stored but generated: from the same rule here and in
tests/golden/family_checkpoint.cpp. Nothing of initrt is used. Needs bench/requirements.txt and

    pip install litgpt==0.5.13
    python tests/golden/make_family_lit.py [CASE...]

lit_families/<case>/model_config.yaml   as LitGPT's save_config writes it
lit_families/<case>/tensors.json        the tensors of lit_model.pth, as families/*/tensors.json
lit_families/<case>/logits.npy          [48, vocabulary], float32: of the first 48 tokens
lit_families/about.json                 for each case LitGPT's name of the config, the largest
                                        difference from the same pass in float64, and the versions

A case for each way in which the configs of LitGPT differ, but for models that initrt does not have:
those without weights in their norms (OLMo) or with a bias in the head (Phi-1 and 2).
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from litgpt.config import Config
from litgpt.model import GPT
from litgpt.utils import save_config

import make_family_references as references
from family_cases import VOCABULARY, WINDOW

FOLDER = Path(__file__).parent / "lit_families"


def sizes(heads, groups, **others):
    return dict(
        n_layer=3, n_embd=48, n_head=heads, n_query_groups=groups, head_size=None,
        intermediate_size=80, block_size=128, vocab_size=VOCABULARY, padded_vocab_size=VOCABULARY,
    ) | others  # fmt: skip


LLAMA3 = dict(factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_seq_len=16)
WINDOWS = dict(sliding_window_size=WINDOW)
LATER_GEMMA = sizes(4, 2, head_size=16, attention_scores_scalar=24, **WINDOWS)
LOCAL = dict(sliding_window_indices=[1, 1, 0, 1], rope_indices=[1, 1, 0, 1], n_layer=4,
             rope_local_base_freq=100.0)  # fmt: skip

CASES = {
    "pythia": ("pythia-14m", sizes(3, 3)),
    "falcon_7b": ("falcon-7b", sizes(4, 1, intermediate_size=192)),
    "falcon_40b": ("falcon-40b", sizes(6, 2, intermediate_size=192)),
    "stablelm_3b": ("stablelm-3b-4e1t", sizes(3, 3)),
    "llama_2": ("Llama-2-7b-hf", sizes(4, 4)),
    "llama_2_32k": ("LLaMA-2-7B-32K", sizes(4, 4)),
    "llama_3_1": ("Llama-3.1-8B", sizes(4, 2, rope_base=500, rope_adjustments=LLAMA3)),
    "qwen2_5": ("Qwen2.5-7B", sizes(4, 2)),
    "qwen3": ("Qwen3-8B", sizes(4, 2, head_size=16)),
    "qwen3_moe": (
        "Qwen3-30B-A3B",
        sizes(4, 2, head_size=16, n_expert=8, n_expert_per_token=2, moe_intermediate_size=32),
    ),
    "mixtral": ("Mixtral-8x7B-v0.1", sizes(4, 2, n_expert=4, n_expert_per_token=2)),
    "olmo_2": ("OLMo-2-1124-7B", sizes(4, 4)),
    "gemma": ("Gemma-2b", sizes(4, 1, head_size=16)),
    "gemma_2": ("Gemma-2-2b", LATER_GEMMA | dict(attention_logit_softcapping=2.0,
                                                 final_logit_softcapping=3.0)),
    "gemma_3_1b": ("Gemma-3-1b-it", LATER_GEMMA | LOCAL | dict(n_query_groups=1)),
    "gemma_3_4b": ("Gemma-3-4b-it", LATER_GEMMA | LOCAL),
    "phi_3": ("Phi-3-mini-4k-instruct", sizes(4, 4, **WINDOWS)),
    "phi_4_mini": ("Phi-4-mini-instruct", sizes(3, 1, **WINDOWS)),
}  # fmt: skip

# What is different where a case has it: each must move the logits, or the case would not show it.
ABLATIONS = {
    "sliding_window_size": WINDOW + 1, "attention_scores_scalar": 16, "rope_local_base_freq": 1e4,
    "attention_logit_softcapping": None, "final_logit_softcapping": None, "rope_adjustments": None,
    "rope_condense_ratio": 1,
}  # fmt: skip


def scale_and_offset(config, name, shape):
    if name.endswith("bias"):
        return 0.25, 0.0
    if "norm" in name or "ln_f" in name:
        return 0.25, 0.0 if "Gemma" in config.name else 1.0
    if "wte" in name:
        return 1.0, 0.0
    # As those of make_family_references.py.
    factor = 3.0 if name.endswith("gate.weight") else 2.0 if "qkv" in name else 1.5
    return round(factor / np.sqrt(shape[1]) * 4096) / 4096, 0.0


@torch.inference_mode()
def make(case, ids):
    name, changes = CASES[case]
    config = Config.from_name(name, **changes)
    model = GPT(config).eval()
    tensors = {}
    for key, value in sorted(model.state_dict().items()):
        scale, offset = scale_and_offset(config, key, value.shape)
        tensors[key] = {"shape": list(value.shape), "scale": scale, "offset": offset}
    model.load_state_dict(references.generate(tensors))
    logits = model(torch.tensor([ids]))[0].numpy()

    torch.set_default_dtype(torch.float64)
    exact = GPT(config).eval()
    exact.load_state_dict(model.state_dict())
    difference = float(np.abs(exact(torch.tensor([ids]))[0].numpy() - logits).max())
    torch.set_default_dtype(torch.float32)
    for field, value in ABLATIONS.items():
        if getattr(config, field) not in (None, value):
            other = GPT(Config.from_name(name, **changes | {field: value})).eval()
            other.load_state_dict(model.state_dict())
            effect = float(np.abs(other(torch.tensor([ids]))[0].numpy() - logits).max())
            assert effect > references.LEAST_EFFECT, f"{case}: {field} moves logits by {effect}"
    print(f"{case}: float64 {difference:.2g}, largest logit {np.abs(logits).max():.3g}", flush=True)
    assert difference < references.MOST_ROUNDING, case

    target = FOLDER / case
    target.mkdir(parents=True, exist_ok=True)
    save_config(config, target)
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in tensors.items())
    (target / "tensors.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    np.save(target / "logits.npy", logits)
    return {"config": name, "float64": float(f"{difference:.3g}")}


def main():
    ids = json.loads((references.FOLDER / "tokens.json").read_text())[: references.PREFILL]
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / "about.json"
    about = json.loads(path.read_text()) if path.exists() else {"cases": {}}
    for case in sys.argv[1:] or CASES:
        about["cases"][case] = make(case, ids)
    about["versions"] = {package: version(package) for package in ("litgpt", "numpy", "torch")}
    path.write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()
