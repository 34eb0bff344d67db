#!/usr/bin/env python3
"""Writes tests/golden/vocab_merges/: what transformers makes of vocab.json and merges.txt.

Needs the packages transformers and tokenizers, and tests/golden/tokenizer_styles:
    make_vocab_merges_reference.py tests/golden/vocab_merges

cases.json     for each case the class that loads it, tokens that its vocab.json has beyond those of
               tokenizer_styles/byte_level.json, and the files beside it; and "texts", with special tokens
<case>.hashes  for each of those texts, and of each tenth of tokenizer_styles/texts.jsonl: how many
               ids, and FNV-1a of the ids as in tokenizer_styles
"""

import json
import sys
import tempfile
from pathlib import Path

import transformers
from tokenizer_texts import fnv

TEXTS = [
    "", "Hello  World<|endoftext|> again", "<s>a</s> <mask>b", "<|im_start|>user\nIt's 12345!<|im_end|>",
    " <|endoftext|>", "e\u0301 <tool> caf\u00e9\u2126", "x<|padding|>y <tool>", "\u1112\u1161\u11ab<|im_end|>\u212b",
]  # fmt: skip
END = "<|endoftext|>"
QWEN = {"1000": END, "1001": "<|im_start|>", "1002": "<|im_end|>"}
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def flags(content, special=True, **more):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": special} | more  # fmt: skip


CASES = {
    "gpt2": {"class": "GPT2Tokenizer", "vocabulary": {END: 1000}, "files": {}},
    "gpt2_bos": {
        "class": "GPT2Tokenizer", "vocabulary": {"<pad>": 1000, "</s>": 1001},
        "files": {
            "tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True,
                                      "add_prefix_space": True},
            "special_tokens_map.json": {
                "bos_token": flags("</s>", normalized=True), "eos_token": "</s>", "unk_token": "</s>",
                "pad_token": "<pad>"},
        },
    },
    "qwen2": {
        "class": "Qwen2Tokenizer", "vocabulary": {},
        "files": {
            "tokenizer_config.json": {
                "tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": END,
                "bos_token": None, "add_prefix_space": False,
                "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
                "added_tokens_decoder": {id: flags(token) for id, token in QWEN.items()}
                | {"1003": flags("<tool>", False, lstrip=True)}},
        },
    },
    "roberta": {
        "class": "RobertaTokenizer", "vocabulary": {token: 1000 + i for i, token in enumerate(ROBERTA)},
        "files": {"tokenizer_config.json": {"tokenizer_class": "RobertaTokenizer"}},
    },
    "gpt_neox": {
        "class": "GPTNeoXTokenizer", "vocabulary": {END: 1000, "<|padding|>": 1001},
        "files": {"tokenizer_config.json": {"tokenizer_class": "GPTNeoXTokenizerFast", "add_bos_token": True}},
    },
    "codegen": {
        "class": "CodeGenTokenizer", "vocabulary": {END: 1000},
        "files": {"tokenizer_config.json": {"tokenizer_class": "CodeGenTokenizer"}},
    },
}  # fmt: skip


def load(case, model):
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "vocab.json").write_text(json.dumps(model["vocab"] | case["vocabulary"]), "utf-8")
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")
        for name, content in case["files"].items():
            (folder / name).write_text(json.dumps(content), "utf-8")
        return getattr(transformers, case["class"]).from_pretrained(directory)


def main():
    folder = Path(sys.argv[1])
    styles = folder.parent / "tokenizer_styles"
    model = json.loads((styles / "byte_level.json").read_text("utf-8"))
    lines = (styles / "texts.jsonl").read_text("utf-8").rstrip("\n").split("\n")
    texts = list(TEXTS)
    for line in lines[::10]:
        text = json.loads(line)
        texts.append(text if isinstance(text, str) else bytes.fromhex(text["hex"]).decode(errors="replace"))
    folder.mkdir(parents=True, exist_ok=True)
    content = {"texts": TEXTS, "cases": CASES}
    (folder / "cases.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
    for name, case in CASES.items():
        tokenizer = load(case, model)
        with open(folder / f"{name}.hashes", "w", encoding="ascii") as out:
            for text in texts:
                ids = tokenizer.encode(text)
                packed = b"".join(id.to_bytes(4, "little") for id in ids)
                out.write(f"{len(ids)} {fnv(packed):08x}\n")


if __name__ == "__main__":
    main()
