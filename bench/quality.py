#!/usr/bin/env python3
"""What quantizing costs in quality, and what it saves: one table of all ways to hold the weights.

Scores the first tokens of a text (4096 of this project's README.md and CONTRIBUTING.md, which no
model has seen) with the weights held in each precision and quantized form, and prints for each:
perplexity, KL(32-true || it) in nats (mean over positions), the share of positions with the same
arg-max, bytes of all units, bytes that decode of one token takes from memory or moves between two
ranks, the most memory a rank held, and tokens per second of decode (median of some runs, in turn).

The last rows are of the same model with outliers planted: of what each norm gives to the matrices
behind it the three columns that matter least are 16 times as large, and the matrices' columns as
much smaller, so that products stay the same. Without a threshold (plain int8) such a column sets the
step of all others.

With --peers, transformers with bitsandbytes (llm.int8, nf4 and nf4-dq on the CPU) scores the same
text with the same weights, which `initrt convert` writes in bf16. Needs bench/requirements.txt.

    python bench/quality.py models/SmolLM2-135M-Instruct.Q4_1.gguf --initrt build/release/launch/initrt
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).parent.parent
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
# Name, precision, quantize.
HOLDINGS = [("32-true", "32-true", "none"), ("bf16-true", "bf16-true", "none"),
            ("llm.int8", "bf16-true", "llm.int8"), ("nf4", "bf16-true", "nf4"),
            ("fp4", "bf16-true", "fp4"), ("nf4-dq", "bf16-true", "nf4-dq"),
            ("fp4-dq", "bf16-true", "fp4-dq"), ("stored", "bf16-true", "stored")]
# With outliers planted: name, quantize, threshold.
PLANTED = [("bf16-true", "none", 6), ("llm.int8", "llm.int8", 6),
           ("llm.int8, threshold 0", "llm.int8", 0)]
PLANTED_COLUMNS = 3
PLANTED_FACTOR = 16  # a power of two: no product changes by it
BEHIND_NORMS = {
    "input_layernorm": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "post_attention_layernorm": ("mlp.gate_proj", "mlp.up_proj")}
POSITIONS_AT_ONCE = 256


def settings(model, precision, quantize, threshold=6):
    pairs = {"model": model, "precision": precision, "quantize.method": quantize,
             "quantize.threshold": threshold}
    return [part for key, value in pairs.items() for part in ("--set", f"{key}={value}")]


def initrt_logits(initrt, model, holding, ids, path):
    subprocess.run([initrt, "score", *settings(model, *holding), "--tokens",
                    ",".join(map(str, ids)), "--logits", path, "--progress", "off"],
                   check=True, capture_output=True)
    return np.load(path, mmap_mode="r")


def planned(initrt, model, holding):
    out = subprocess.run([initrt, "plan", *settings(model, *holding), "--world", "2", "--json",
                          "--set", "generate.prompt=x"], check=True, capture_output=True)
    return json.loads(out.stdout)


def decode(initrt, model, holding, tokens):
    """One run's report: memory, and tokens per second after the first one."""
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.json"
        subprocess.run([initrt, *settings(model, *holding), "--set", "generate.prompt=The",
                        "--set", f"generate.max_new_tokens={tokens}",
                        "--set", "generate.ignore_eos=true", "--progress", "off",
                        "--report", report], check=True, capture_output=True)
        return json.loads(report.read_text())


def log_softmax(logits):
    logits = logits.astype(np.float64)
    logits -= logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def compare(reference, other, ids):
    """Perplexity of the text, and the distance from the reference's distributions."""
    likelihood, kl, same = 0.0, 0.0, 0
    for begin in range(0, len(ids), POSITIONS_AT_ONCE):
        rows = slice(begin, min(begin + POSITIONS_AT_ONCE, len(ids)))
        p, q = log_softmax(reference[rows]), log_softmax(other[rows])
        kl += float((np.exp(p) * (p - q)).sum())
        same += int((p.argmax(-1) == q.argmax(-1)).sum())
        for row in range(rows.start, rows.stop):
            if row + 1 < len(ids):
                likelihood += float(q[row - begin, ids[row + 1]])
    return {"perplexity": float(np.exp(-likelihood / (len(ids) - 1))), "mean_kl": kl / len(ids),
            "argmax_agreement": same / len(ids)}


def tokens_of(initrt, model, text, count):
    """The ids that initrt itself makes of the text."""
    import tokenizers  # of transformers, for the same ids
    from transformers import AutoTokenizer
    del tokenizers, initrt
    tokenizer = AutoTokenizer.from_pretrained(model.parent, gguf_file=model.name,
                                              local_files_only=True)
    return tokenizer(text).input_ids[:count]


def plant_outliers(directory):
    """In a Hugging Face directory in float32."""
    from safetensors.numpy import load_file, save_file
    files = {path: load_file(path) for path in directory.glob("*.safetensors")}
    tensors = {name: tensor for file in files.values() for name, tensor in file.items()}
    for name in tensors:
        layer, _, norm = name.removesuffix(".weight").rpartition(".")
        behind = [tensors[f"{layer}.{matrix}.weight"] for matrix in BEHIND_NORMS.get(norm, ())]
        if not behind:
            continue
        reach = abs(tensors[name]) * np.sqrt(sum((tensor**2).sum(0) for tensor in behind))
        columns = np.argsort(reach)[:PLANTED_COLUMNS]
        tensors[name][columns] *= PLANTED_FACTOR
        for tensor in behind:
            tensor[:, columns] /= PLANTED_FACTOR
    for path, file in files.items():
        save_file(file, path, metadata={"format": "pt"})


def convert(initrt, model, precision, directory):
    subprocess.run([initrt, "convert", "--to", "safetensors", "--precision", precision, model,
                    directory], check=True, capture_output=True)
    return directory


def peer_logits(directory, quantize, ids, path):
    """transformers with bitsandbytes, on the CPU."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    config = {"none": None,
              "llm.int8": BitsAndBytesConfig(load_in_8bit=True),
              "nf4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                        bnb_4bit_compute_dtype=torch.bfloat16),
              "nf4-dq": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                           bnb_4bit_use_double_quant=True,
                                           bnb_4bit_compute_dtype=torch.bfloat16)}[quantize]
    model = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.bfloat16, quantization_config=config, attn_implementation="eager",
        device_map="cpu").eval()
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0].float().numpy()
    np.save(path, logits)
    return np.load(path, mmap_mode="r")


def row_text(name, row):
    def cell(key, form):
        return format(row[key], form) if key in row else "-"
    return (f"| {name} | {cell('perplexity', '.3f')} | {cell('mean_kl', '.2e')} | "
            f"{cell('argmax_agreement', '.1%')} | {cell('weight_megabytes', '.1f')} | "
            f"{cell('token_megabytes', '.1f')} | {cell('peak_megabytes', '.0f')} | "
            f"{cell('tokens_per_second', '.0f')} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path, help="a GGUF file")
    parser.add_argument("--initrt", default="build/release/launch/initrt")
    parser.add_argument("--text", type=pathlib.Path, nargs="+", default=TEXTS)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--new-tokens", type=int, default=100)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()

    text = "\n".join(path.read_text(encoding="utf-8") for path in arguments.text)
    ids = tokens_of(arguments.initrt, arguments.model, text, arguments.tokens)
    if len(ids) < arguments.tokens:
        parser.error(f"{len(ids)} tokens in the text, fewer than {arguments.tokens}")
    speeds = {name: [] for name, _, _ in HOLDINGS}
    reports = {}
    for _ in range(arguments.runs):
        for name, *holding in HOLDINGS:
            reports[name] = decode(arguments.initrt, arguments.model, holding,
                                   arguments.new_tokens)
            speeds[name].append(reports[name]["generate"]["tokens_per_second"])
    rows = {}
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory)
        reference = initrt_logits(arguments.initrt, arguments.model, HOLDINGS[0][1:], ids,
                                  path / "reference.npy")
        for name, *holding in HOLDINGS:
            other = initrt_logits(arguments.initrt, arguments.model, holding, ids,
                                  path / "other.npy")
            plan = planned(arguments.initrt, arguments.model, holding)
            rows[name] = compare(reference, other, ids) | {
                "weight_megabytes": plan["unit_bytes"] / 1e6,
                "token_megabytes": plan["moves"]["weights_bytes"] * 2 / 1e6,
                "peak_megabytes": reports[name]["memory"]["peak"]["max"] / 1e6,
                "tokens_per_second": statistics.median(speeds[name])}
        planted = convert(arguments.initrt, arguments.model, "32-true", path / "planted")
        plant_outliers(planted)
        for name, *holding in PLANTED:
            other = initrt_logits(arguments.initrt, planted, ("bf16-true", *holding), ids,
                                  path / "other.npy")
            rows[f"{name}, outliers planted"] = compare(reference, other, ids)
        if arguments.peers:
            converted = convert(arguments.initrt, arguments.model, "bf16-true", path / "bf16")
            for quantize in ("none", "llm.int8", "nf4", "nf4-dq"):
                other = peer_logits(converted, quantize, ids, path / "other.npy")
                rows[f"transformers {'bf16' if quantize == 'none' else quantize}"] = compare(
                    reference, other, ids)
    print(f"{len(ids)} tokens, {arguments.model.name}; decode: medians of {arguments.runs} runs\n")
    print("| weights held in | perplexity | KL from 32-true | same arg-max | weights, MB "
          "| a token takes, MB | peak, MB | tokens/s |\n|" + " --- |" * 8)
    for name, row in rows.items():
        print(row_text(name, row))
    if arguments.out:
        arguments.out.write_text(json.dumps({
            "machine": platform.platform(), "threads": len(os.sched_getaffinity(0)),
            "model": arguments.model.name, "texts": [path.name for path in arguments.text],
            "tokens": len(ids), "runs": arguments.runs, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
