#!/usr/bin/env python3
"""Writes the references in tests/golden/smollm2/ from the SmolLM2-135M-Instruct GGUF file.

The reference is transformers' own GGUF loading, dequantized to float32; nothing of initrt is
used. A second, float64 forward pass in plain numpy over the weights as the GGUF file holds them
(rotary rows still interleaved) checks the first: a wrong order of the Q and K rows, which gives
fluent but different text, cannot pass. What bfloat16 costs the library itself is measured over
512 tokens of smollm2/passage.txt. Needs bench/requirements.txt; takes about a minute.

    python tests/golden/make_smollm2_reference.py models/SmolLM2-135M-Instruct.Q4_1.gguf
"""

import argparse
import hashlib
import json
import pathlib
import platform
import sys

import gguf
import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

FOLDER = pathlib.Path(__file__).parent / "smollm2"
TOKENS = 64
VOCABULARY_IDS = 512
PASSAGE_TOKENS = 512
NEW_TOKENS = 50
GREEDY_PROMPT = "Hello, my name is"
# Prose, numbers, code, capitals and characters outside ASCII; cut after 64 tokens.
TEXT = (
    "The lighthouse at Kérity was built in 1856, and for ninety-one years someone climbed its "
    "227 steps every evening. On clear nights you could see its beam from 40 km away; in fog, "
    "nothing helped. “Why not ring a bell?” asked Anna. Her father smiled: if (fog) ring(); "
    "and they laughed until the tide came in."
)


class NumpyLlama:
    """The LLaMA forward pass in float64, straight from GGUF tensors and metadata."""

    def __init__(self, path: pathlib.Path):
        reader = gguf.GGUFReader(path)
        field = lambda name: reader.fields[f"llama.{name}"].contents()  # noqa: E731
        self.layers = field("block_count")
        self.heads = field("attention.head_count")
        self.kv_heads = field("attention.head_count_kv")
        self.epsilon = field("attention.layer_norm_rms_epsilon")
        self.theta = field("rope.freq_base")
        self.weights = {
            tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
            for tensor in reader.tensors
        }

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        mean_square = np.mean(x * x, axis=-1, keepdims=True)
        return x / np.sqrt(mean_square + self.epsilon) * self.weights[name]

    def rotate(self, x: np.ndarray) -> np.ndarray:
        """Rotary positions on [tokens, heads, size], pairs of neighbours (GGUF's LLaMA order)."""
        tokens, _, size = x.shape
        frequencies = self.theta ** (-np.arange(0, size, 2) / size)
        angles = np.arange(tokens)[:, None, None] * frequencies
        even, odd = x[..., 0::2], x[..., 1::2]
        rotated = np.empty_like(x)
        rotated[..., 0::2] = even * np.cos(angles) - odd * np.sin(angles)
        rotated[..., 1::2] = even * np.sin(angles) + odd * np.cos(angles)
        return rotated

    def attention(self, x: np.ndarray, prefix: str) -> np.ndarray:
        tokens = len(x)
        project = lambda name: x @ self.weights[f"{prefix}{name}.weight"].T  # noqa: E731
        q = self.rotate(project("attn_q").reshape(tokens, self.heads, -1))
        k = self.rotate(project("attn_k").reshape(tokens, self.kv_heads, -1))
        v = project("attn_v").reshape(tokens, self.kv_heads, -1)
        k, v = (np.repeat(part, self.heads // self.kv_heads, axis=1) for part in (k, v))
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(q.shape[-1])
        scores[:, np.triu(np.ones((tokens, tokens), bool), 1)] = -np.inf
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        joined = np.einsum("hqk,khd->qhd", scores, v).reshape(tokens, -1)
        return joined @ self.weights[f"{prefix}attn_output.weight"].T

    def feed_forward(self, x: np.ndarray, prefix: str) -> np.ndarray:
        gate = x @ self.weights[f"{prefix}ffn_gate.weight"].T
        up = x @ self.weights[f"{prefix}ffn_up.weight"].T
        return (gate / (1 + np.exp(-gate)) * up) @ self.weights[f"{prefix}ffn_down.weight"].T

    def logits(self, ids: list[int]) -> np.ndarray:
        """[tokens, vocabulary]; the embedding is the head too."""
        x = self.weights["token_embd.weight"][ids]
        for layer in range(self.layers):
            prefix = f"blk.{layer}."
            x = x + self.attention(self.norm(x, prefix + "attn_norm.weight"), prefix)
            x = x + self.feed_forward(self.norm(x, prefix + "ffn_norm.weight"), prefix)
        head = self.weights.get("output.weight", self.weights["token_embd.weight"])
        return self.norm(x, "output_norm.weight") @ head.T


@torch.inference_mode()
def logits_of(model, ids: list[int]) -> np.ndarray:
    """[tokens, vocabulary] in the model's own precision, given back as float64."""
    return model(torch.tensor([ids])).logits[0].double().numpy()


@torch.inference_mode()
def greedy(model, ids: list[int], count: int) -> tuple[list[int], list[float]]:
    """The `count` most likely next tokens, and at each the logit margin over the second."""
    new, margins, cache, step = [], [], None, torch.tensor([ids])
    for _ in range(count):
        output = model(step, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        best = torch.topk(output.logits[0, -1], 2)
        new.append(int(best.indices[0]))
        margins.append(round(float(best.values[0] - best.values[1]), 5))
        step = torch.tensor([[new[-1]]])
    return new, margins


def mean_kl(reference: np.ndarray, other: np.ndarray) -> float:
    """Mean over positions of KL(reference || other), in nats."""
    log_p, log_q = (torch.log_softmax(torch.from_numpy(x), -1) for x in (reference, other))
    return float((log_p.exp() * (log_p - log_q)).sum(-1).mean())


def agreement(reference: np.ndarray, other: np.ndarray) -> int:
    """At how many positions the arg-max is the same."""
    return int((reference.argmax(-1) == other.argmax(-1)).sum())


def vocabulary_ids(size: int) -> list[int]:
    """Fixed ids spread evenly over the vocabulary; 0, 1, 2 and the last are among them."""
    spread = np.linspace(3, size - 1, VOCABULARY_IDS - 3).round().astype(int)
    return [0, 1, 2, *spread.tolist()]


def fixed_tokens(tokenizer) -> tuple[str, list[int]]:
    ids = tokenizer(TEXT).input_ids[:TOKENS]
    text = tokenizer.decode(ids)
    if len(ids) != TOKENS or tokenizer(text).input_ids != ids:
        sys.exit(f"the text does not give {TOKENS} tokens that encode back to themselves")
    return text, ids


def bfloat16_quality(tokenizer, single_model, half_model) -> dict:
    """How far the library's own bfloat16 is from its float32, over the passage."""
    passage = (FOLDER / "passage.txt").read_text(encoding="utf-8")
    ids = tokenizer(passage).input_ids[:PASSAGE_TOKENS]
    single, half = logits_of(single_model, ids), logits_of(half_model, ids)
    return {
        "what": f"transformers over the first {PASSAGE_TOKENS} tokens of passage.txt: mean over "
                "positions of KL(float32 || bfloat16), in nats, and the share of equal arg-max",
        "mean_kl": mean_kl(single, half),
        "argmax_agreement": agreement(single, half) / len(ids),
        "ids": ids,
    }


def write(name: str, content) -> None:
    """JSON with one key a line; lists of numbers stay on one line."""
    if isinstance(content, dict):
        lines = (f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}"
                 for k, v in content.items())
        text = "{\n" + ",\n".join(lines) + "\n}\n"
    else:
        text = json.dumps(content) + "\n"
    (FOLDER / name).write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf", type=pathlib.Path)
    path = parser.parse_args().gguf

    source = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name,
              "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(**source)
    load = lambda dtype: AutoModelForCausalLM.from_pretrained(  # noqa: E731
        **source, dtype=dtype, attn_implementation="eager").eval()
    model = load(torch.float32)

    text, ids = fixed_tokens(tokenizer)
    single = logits_of(model, ids)
    double = NumpyLlama(path).logits(ids)
    difference = float(np.abs(single - double).max())
    if difference > 1e-3 or agreement(double, single) != TOKENS:
        sys.exit(f"float32 and the independent float64 pass disagree: {difference:.3g} at most, "
                 f"arg-max the same at {agreement(double, single)} of {TOKENS}")

    prompt_ids = tokenizer(GREEDY_PROMPT).input_ids
    new_ids, margins = greedy(model, prompt_ids, NEW_TOKENS)
    chosen = vocabulary_ids(single.shape[1])

    # bfloat16 is loaded afresh: casting the module would round its rotary frequencies too, which
    # transformers keeps in float32.
    half_model = load(torch.bfloat16)
    half = logits_of(half_model, ids)
    quality = bfloat16_quality(tokenizer, model, half_model)
    library_double = logits_of(model.double(), ids)

    FOLDER.mkdir(exist_ok=True)
    write("tokens.json", {"text": text, "ids": ids})
    write("vocabulary_ids.json", chosen)
    np.save(FOLDER / "logits.npy", np.ascontiguousarray(single[:, chosen], dtype=np.float32))
    write("argmax.json", single.argmax(-1).tolist())
    write("bfloat16.json", quality)
    write("greedy.json", {
        "prompt": GREEDY_PROMPT, "prompt_ids": prompt_ids, "ids": new_ids,
        "text": tokenizer.decode(prompt_ids + new_ids), "margins": margins,
    })
    top = np.sort(single, axis=-1)
    about = {
        "command": f"python tests/golden/make_smollm2_reference.py models/{path.name}",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__,
                     "transformers": transformers.__version__, "numpy": np.__version__},
        "what": f"{TOKENS} tokens of tokens.json, all {single.shape[1]} logits of each; "
                "differences are absolute, KL in nats",
        "float32_vs_float64_numpy_max": difference,
        "float32_vs_float64_transformers_max": float(np.abs(single - library_double).max()),
        "float32_argmax_margin_min": float((top[:, -1] - top[:, -2]).min()),
        "greedy_margin_min": min(margins),
        "bfloat16_max": float(np.abs(single - half).max()),
        "bfloat16_mean_kl": mean_kl(single, half),
        "bfloat16_argmax_agreement": agreement(single, half),
        "float32_mean_negative_log_likelihood": float(torch.nn.functional.cross_entropy(
            torch.from_numpy(single[:-1]), torch.tensor(ids[1:]))),
    }
    write("about.json", about)
    print(json.dumps(about, indent=2))
    print(repr(tokenizer.decode(prompt_ids + new_ids)))


if __name__ == "__main__":
    main()
