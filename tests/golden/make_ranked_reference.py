#!/usr/bin/env python3
"""Writes tests/golden/ranked/ and tests/golden/word_piece/: what tiktoken, mistral_common and
transformers make of texts with vocabularies of ranks and of word pieces.

Needs the packages tiktoken, mistral-common, transformers and tokenizers, and
tests/golden/tokenizer_styles:
    make_ranked_reference.py tests/golden

ranked/ranks.tiktoken   a small vocabulary in tiktoken's form: the bytes, then what the merges of
                        tokenizer_styles/byte_level.json make; tekken.json is made of the same tokens
word_piece/vocab.txt    one of BERT's form
texts.json of each      {"texts"}: more texts, with special tokens
<case>.hashes of each   for each of those texts, and of each tenth of tokenizer_styles/texts.jsonl: how
                        many ids, FNV-1a of the ids, and of the text that they decode to without special
                        tokens, as in tokenizer_styles
"""

import base64
import json
import re
import sys
import tempfile
from pathlib import Path

import tiktoken
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from tokenizer_texts import fnv, training_texts
from tokenizers import BertWordPieceTokenizer
from transformers import BertTokenizer

RANKED_TEXTS = [
    "", "Hello<|eot_id|>\n\n<|start_header_id|>user", "<|begin_of_text|>a<|reserved_special_token_17|>",
    "<|header_start|>x<|eot|><|reasoning_thinking_end|><|vision_reserved_special_token_1047|>",
    "[BOS]<|im_user|>user<|im_middle|>漢字kana仮名Ab漢<|im_end|>", "<think>a</think>  [EOT]",
    "中文English混合Text和CamelCase词汇don't", "HELLOworld helloWORLD ΑΒΓαβγ ǅabc", "１２３４５ 12345 ٣٤٥٦",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "   \n\n  \r\n\t x/y//\n",
]  # fmt: skip
WORD_TEXTS = [
    "", "[CLS] Hello [SEP] [MASK]ing", "naïve café É", "漢字kana", "don't stop.", "x" * 101, "x" * 100,
    "a\x00b\ufffdc\u200bd\u00ade", "İstanbul ŞAPKA ǅ", "1,000.50 $5 ~`^ «a»", "e\u0301 a\u1734b \u0b55x",
]  # fmt: skip

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA4 = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
KIMI = r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEKKEN = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def numbered(before, first, count):
    return [f"<|{before}reserved_special_token_{i}|>" for i in range(first, first + count)]


LLAMA3_SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", *numbered("", 0, 2), "<|finetune_right_pad_id|>", "<|step_id|>",
                  "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>", *numbered("", 2, 245)]  # fmt: skip
LLAMA4_SPECIAL = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
    "<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|step|>", *numbered("text_post_train_", 0, 6),
    "<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>", *numbered("text_post_train_", 8, 61),
    "<|image_start|>", "<|image_end|>", *numbered("vision_", 0, 2), "<|tile_x_separator|>", "<|tile_y_separator|>",
    *numbered("vision_", 2, 4), "<|image|>", *numbered("vision_", 6, 1), "<|patch|>", *numbered("vision_", 7, 1041),
    *numbered("reasoning_", 0, 8), "<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>",
]  # fmt: skip
LLAMA4_SPECIAL += numbered("", 0, 2048 - len(LLAMA4_SPECIAL))
# Of Kimi's tokenizer_config.json: how far behind the vocabulary, and whether it is special.
KIMI_NAMED = {0: ("[BOS]", True), 1: ("[EOS]", True), 2: ("<|im_end|>", True), 3: ("<|im_user|>", True), 9: ("[EOT]", True),
              17: ("<|im_middle|>", True), 22: ("<think>", False), 23: ("</think>", False)}  # fmt: skip


def tokens_of(model):
    decode = {character: bytes([byte]) for byte, character in byte_characters().items()}
    tokens = [bytes([byte]) for byte in range(256)]
    for merge in model["merges"]:
        pair = merge.split(" ") if isinstance(merge, str) else merge
        token = b"".join(decode[character] for character in "".join(pair))
        if token not in tokens:
            tokens.append(token)
    return tokens


def byte_characters():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def write_hashes(path, texts, encode, decode):
    with open(path, "w", encoding="ascii") as out:
        for text in texts:
            ids = encode(text)
            packed = b"".join(id.to_bytes(4, "little") for id in ids)
            out.write(f"{len(ids)} {fnv(packed):08x} {fnv(decode(ids).encode()):08x}\n")


def ranked(folder, tokens, texts):
    folder.mkdir(parents=True, exist_ok=True)
    ranks = {token: rank for rank, token in enumerate(tokens)}
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items()]
    (folder / "ranks.tiktoken").write_text("".join(lines), "ascii")
    (folder / "texts.json").write_text(json.dumps({"texts": RANKED_TEXTS}, ensure_ascii=False, indent=1) + "\n", "utf-8")
    count = len(tokens)
    kimi = {f"<|reserved_token_{count + i}|>": count + i for i in range(256)}
    for i, (name, _) in KIMI_NAMED.items():
        del kimi[f"<|reserved_token_{count + i}|>"]
        kimi[name] = count + i
    plain = {count + i for i, (_, special) in KIMI_NAMED.items() if not special}
    for name, pattern, special, begin in [
        ("llama3", LLAMA3, {name: count + i for i, name in enumerate(LLAMA3_SPECIAL)}, [count]),
        ("llama4", LLAMA4, {name: count + i for i, name in enumerate(LLAMA4_SPECIAL)}, [count]),
        ("kimi", KIMI, kimi, []),
    ]:
        encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
        write_hashes(
            folder / f"{name}.hashes", texts,
            lambda text: begin + encoding.encode(text, allowed_special="all"),
            lambda ids: encoding.decode([id for id in ids if id < count or id in plain]),
        )  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "tekken.json"
        vocab = [{"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None} for token, rank in ranks.items()]
        config = {"pattern": TEKKEN, "num_vocab_tokens": count, "default_vocab_size": count + 80, "default_num_special_tokens": 100, "version": "v3"}
        path.write_text(json.dumps({"config": config, "vocab": vocab}))
        tekken = Tekkenizer.from_file(path)
        special = {tekken.id_to_piece(id): id for id in tekken.special_ids}
        cut = re.compile("(" + "|".join(map(re.escape, sorted(special, key=len, reverse=True))) + ")")

        def encode(text):
            # Special tokens that are written out become their ids, which mistral_common leaves to its callers.
            ids = [special["<s>"]]
            for part in cut.split(text):
                ids += [special[part]] if part in special else tekken.encode(part, bos=False, eos=False)
            return ids

        write_hashes(folder / "tekken.hashes", texts, encode, lambda ids: tekken.decode(ids))


def word_piece(folder, texts):
    folder.mkdir(parents=True, exist_ok=True)
    trained = BertWordPieceTokenizer(lowercase=False, strip_accents=False)
    trained.train_from_iterator(training_texts(), vocab_size=1500, min_frequency=1, limit_alphabet=700, show_progress=False)
    vocab = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(token + "\n" for token, _ in vocab), "utf-8")
    (folder / "texts.json").write_text(json.dumps({"texts": WORD_TEXTS}, indent=1) + "\n", "utf-8")
    for name, settings in [("uncased", {}), ("cased", {"do_lower_case": False}),
                           ("accents", {"do_lower_case": True, "strip_accents": False, "tokenize_chinese_chars": False})]:  # fmt: skip
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "vocab.txt").write_text((folder / "vocab.txt").read_text("utf-8"), "utf-8")
            (Path(directory) / "tokenizer_config.json").write_text(json.dumps(settings | {"tokenizer_class": "BertTokenizer"}))
            tokenizer = BertTokenizer.from_pretrained(directory)
            backend = tokenizer.backend_tokenizer
            write_hashes(folder / f"{name}.hashes", texts, lambda text: backend.encode(text).ids, lambda ids: backend.decode(ids))


def main():
    golden = Path(sys.argv[1])
    styles = golden / "tokenizer_styles"
    model = json.loads((styles / "byte_level.json").read_text("utf-8"))
    more = []
    for line in (styles / "texts.jsonl").read_text("utf-8").rstrip("\n").split("\n")[::10]:
        text = json.loads(line)
        more.append(text if isinstance(text, str) else bytes.fromhex(text["hex"]).decode(errors="replace"))
    ranked(golden / "ranked", tokens_of(model), RANKED_TEXTS + more)
    word_piece(golden / "word_piece", WORD_TEXTS + more)


if __name__ == "__main__":
    main()
