#!/usr/bin/env python3
"""Writes tests/golden/quantized/: a tiny LLaMA quantized in every way that is read, packed by the
library that defines the format where that runs on a CPU, and the float32 weights that the same
library makes of it. Nothing of initrt is used. Needs bench/requirements.txt and

    pip install bitsandbytes==0.50.2 compressed-tensors==0.20.1 gptqmodel==7.7.0 optimum==2.3.0 \\
        transformers==5.24.0 xxhash==4.1.0

takes about a minute and gives the same bytes every time:

    python tests/golden/make_quantized_references.py tests/golden/quantized

<case>/config.json, model.safetensors  what is read
<case>/expected.json   XXH3 (128 bits, as `initrt verify` prints it) of each quantized weight's float32
                       little-endian bytes, [out, in]
<case>/logits.npy      float32 [8, 16]: transformers' logits of tokens 1 to 8, of the dequantized
                       weights in float32
manifest.json          the libraries' versions, and for each case what defines its arithmetic; whether
                       transformers, loading the folder itself on a CPU, came to the same weights

One layer, not more: files are read by name and shape, and the repository keeps them.
"""

import json
import platform
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import xxhash
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

import quantized_cases as cases

CONFIG = dict(
    hidden_size=64,
    intermediate_size=40,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    vocab_size=16,
    max_position_embeddings=64,
    tie_word_embeddings=True,
    bos_token_id=1,
    eos_token_id=2,
)
PACKAGES = [
    "bitsandbytes",
    "compressed-tensors",
    "gptqmodel",
    "numpy",
    "optimum",
    "safetensors",
    "torch",
    "transformers",
]


def dense_model(case):
    torch.manual_seed(sum(case.encode()))
    model = LlamaForCausalLM(LlamaConfig(**(CONFIG | cases.CASES[case].get("config", {}))))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0, 0.1)
            if "norm" in name:
                parameter.add_(1)
            parameter.copy_(parameter.to(torch.bfloat16))
    return model


def quantize(case, path):
    """Writes the folder. Returns the dense model with the dequantized weights, their names, and
    what defined them."""
    model = dense_model(case)
    make, quantization = cases.CASES[case]["make"], cases.CASES[case]["quantization"]
    skip = cases.CASES[case].get("skip", ())
    tensors, expected = {}, {}
    for name, parameter in model.state_dict().items():
        module, leaf = name.rpartition(".")[::2]
        if name == "lm_head.weight":
            continue
        if "_proj" not in module or any(word in module for word in skip):
            tensors[name] = parameter.to(torch.bfloat16)
            continue
        stored, weight = make(parameter.float(), module)
        assert weight.dtype == torch.float32 and weight.shape == parameter.shape, name
        tensors |= {f"{module}.{leaf}": tensor for leaf, tensor in stored.items()}
        expected[name] = weight.contiguous()
        # What the codes stand for is about what was quantized.
        error = (weight - parameter).norm() / parameter.norm()
        assert error < 0.35, f"{case}: {name} is off by {error}"
    path.mkdir(parents=True)
    config = json.loads(model.config.to_json_string(use_diff=False))
    keep = set(CONFIG) | {"architectures", "model_type", "hidden_act", "rms_norm_eps", "rope_parameters"}
    config = {key: value for key, value in config.items() if key in keep}
    config |= {"architectures": ["LlamaForCausalLM"], "dtype": "bfloat16"}
    if "hf_quant_config" in cases.CASES[case]:
        text = json.dumps({"quantization": quantization}, indent=1)
        (path / "hf_quant_config.json").write_text(text + "\n")
    else:
        config["quantization_config"] = quantization
    (path / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    save_file(
        {name: tensor.detach().contiguous() for name, tensor in tensors.items()},
        path / "model.safetensors",
        metadata={"format": "pt"},
    )
    model.load_state_dict(model.state_dict() | expected)
    return model, expected


def as_transformers_loads(path, method, expected):
    """Whether transformers' own way from the folder to weights ends in the same ones; "" where it
    does not run on a CPU."""
    try:
        loaded = cases.load_dequantized(path, method)
        for name, weight in expected.items():
            other = loaded.get_submodule(name.rpartition(".")[0]).weight
            if not torch.equal(other.detach().float(), weight):
                rounded = weight.to(torch.bfloat16).float()
                difference = (other.detach().float() - rounded).abs().max().item()
                return f"{name} differs by {difference:.3g}" if difference else "yes, in bfloat16"
        return "yes"
    except Exception as error:  # a kernel that only a GPU has
        return f"no: {type(error).__name__}: {str(error).splitlines()[0][:80]}"


def main():
    root = Path(sys.argv[1])
    only = sys.argv[2:]
    torch.set_num_threads(1)
    manifest = {"versions": {"python": platform.python_version()}, "cases": {}}
    manifest["versions"] |= {package: version(package) for package in PACKAGES}
    for case in cases.CASES:
        if only and case not in only:
            continue
        path = root / case
        shutil.rmtree(path, ignore_errors=True)
        model, expected = quantize(case, path)
        hashes = {
            name: xxhash.xxh3_128_hexdigest(weight.numpy().astype("<f4").tobytes())
            for name, weight in expected.items()
        }
        (path / "expected.json").write_text(json.dumps(hashes, indent=1) + "\n")
        with torch.no_grad():
            logits = model.eval()(torch.arange(1, 9)[None]).logits[0]
        np.save(path / "logits.npy", logits.numpy().astype("<f4"))
        manifest["cases"][case] = {
            "defined by": cases.CASES[case]["by"],
            "as transformers loads it": as_transformers_loads(
                path, cases.CASES[case]["quantization"].get("quant_method"), expected
            ),
        }
        print(case, manifest["cases"][case], flush=True)
    if not only:
        (root / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()
