#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets that need no other library: small valid files.

    tests/fuzz/make_corpus.py

Each seed goes to tests/fuzz/corpus/<target>/. What fuzzing found, and was fixed, lies beside them
as finding-*.
"""

import json
import struct
from pathlib import Path

import corpus_configs
import corpus_tokenizers
import corpus_torch

CORPUS = Path(__file__).parent / "corpus"
U8, I32, U32, F32, BOOL, STRING, ARRAY, U64 = 0, 5, 4, 6, 7, 8, 9, 10
PACKED = {U8: "<B", I32: "<i", U32: "<I", F32: "<f", BOOL: "<B", U64: "<Q"}


def write(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, bytes):
        content = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    assert len(content) <= 4096, (target, name, len(content))
    (folder / name).write_bytes(content)


# safetensors: the header's length, the header, the data.


def safetensors(header):
    end = max((value["data_offsets"][1] for key, value in header.items() if key != "__metadata__"),
              default=0)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write_safetensors():
    write("safetensors", "model", safetensors({
        "__metadata__": {"format": "pt"},
        "model.embed_tokens.weight": tensor("BF16", [3, 8], 0, 48),
        "model.norm.weight": tensor("F32", [8], 48, 80),
        "lm_head.weight": tensor("F16", [3, 8], 80, 128),
    }))
    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8,
             "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1}
    header, end = {}, 0
    for dtype, size in sizes.items():
        header[dtype.lower()] = tensor(dtype, [1, 2], end, end + 2 * size)
        end += 2 * size
    write("safetensors", "dtypes", safetensors(header))
    write("safetensors", "scalar_and_empty", safetensors({
        "scalar": tensor("F32", [], 0, 4), "empty": tensor("F32", [0, 5], 4, 4)}))
    write("safetensors", "nothing", safetensors({}))


def write_index():
    write("index_json", "both_files", {
        "metadata": {"total_size": 128},
        "weight_map": {"embed": "a.safetensors", "norm": "a.safetensors",
                       "head": "b.safetensors"}})
    write("index_json", "copy_in_b", {
        "weight_map": {"embed": "a.safetensors", "norm": "b.safetensors",
                       "head": "b.safetensors"}})
    write("index_json", "one_file", {"weight_map": {"head": "b.safetensors"}})
    write("index_json", "missing_file", {"weight_map": {"head": "c.safetensors"}})


# GGUF: magic, version, counts, key-values, tensor infos, padding, data.


def string(text):
    encoded = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def value(kind, content):
    if kind == STRING:
        return string(content)
    if isinstance(kind, tuple):
        return struct.pack("<IQ", kind[1], len(content)) + b"".join(
            value(kind[1], item) for item in content)
    return struct.pack(PACKED[kind], content)


def gguf(pairs, tensors=(), data_bytes=0, version=3):
    text = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
    for key, (kind, content) in pairs.items():
        text += string(key) + struct.pack("<I", kind[0] if isinstance(kind, tuple) else kind)
        text += value(kind, content)
    for name, shape, kind, offset in tensors:
        text += string(name) + struct.pack("<I", len(shape))
        text += b"".join(struct.pack("<Q", extent) for extent in shape)
        text += struct.pack("<IQ", kind, offset)
    return text + bytes(-len(text) % 32) + bytes(data_bytes)


LLAMA = {
    "general.architecture": (STRING, "llama"),
    "general.alignment": (U32, 32),
    "llama.embedding_length": (U32, 32),
    "llama.feed_forward_length": (U32, 64),
    "llama.block_count": (U32, 1),
    "llama.attention.head_count": (U32, 4),
    "llama.context_length": (U32, 128),
    "llama.rope.freq_base": (F32, 10000.0),
}


def write_gguf():
    tensors = [("token_embd.weight", [32, 3], 3, 0), ("blk.0.attn_norm.weight", [32], 0, 64),
               ("blk.0.attn_q.weight", [32, 2], 30, 192)]
    tokens = {"tokenizer.ggml.tokens": ((ARRAY, STRING), ["a", "b", "c"])}
    write("gguf", "llama", gguf({**LLAMA, **tokens}, tensors, 320))
    write("gguf", "version_2", gguf(LLAMA, tensors, 320, version=2))
    write("gguf", "every_key", gguf({
        **LLAMA, **tokens,
        "llama.attention.head_count_kv": (U32, 2),
        "llama.attention.key_length": (U64, 8),
        "llama.attention.layer_norm_rms_epsilon": (F32, 1e-5),
        "llama.expert_count": (U32, 0),
        "llama.rope.dimension_count": (U32, 8),
        "llama.rope.scaling.factor": (F32, 4.0),
        "llama.rope.scaling.original_context_length": (U32, 32),
        "llama.rope.scaling.type": (STRING, "yarn"),
        "llama.vocab_size": (U32, 3),
        "split.count": (U32, 1),
        "split.no": (U32, 0),
        "split.tensors.count": (I32, 3),
        "tokenizer.ggml.bos_token_id": (U32, 1),
        "tokenizer.ggml.add_bos_token": (BOOL, 1),
    }, tensors, 320))
    blocks = {2: 18, 3: 20, 6: 22, 7: 24, 8: 34, 10: 84, 11: 110, 12: 144, 13: 176, 14: 210,
              20: 18}  # ggml's type: bytes of a block
    offset, tensors = 0, []
    for kind, size in blocks.items():
        tensors.append((f"t{kind}", [256 if 10 <= kind <= 14 else 32], kind, offset))
        offset += size + -size % 32
    write("gguf", "block_types", gguf({}, tensors, offset))


# Tokenizers: byte-level BPE over some letters.

LETTERS = list("helo Hs'12345x=f(a_b);".replace(" ", "Ġ")) + ["Ċ", "č", "ĉ", "Ì", "ģ", "ä", "½"]
TOKENS = LETTERS + ["he", "ll", "llo", "hello", "Ġhello", "12"]
MERGES = ["h e", "l l", "ll o", "he llo", "Ġ hello", "1 2"]


def write_gguf_tokenizers():
    for kind in ["smollm", "gpt-2", "default", "llama-bpe", "qwen2", "falcon", "tekken", "gpt-4o",
                 "deepseek-llm", "bloom"]:
        tokens = TOKENS + ["<s>", "<u>"]
        write("gguf_tokenizer", kind, gguf({
            "tokenizer.ggml.model": (STRING, "gpt2"),
            "tokenizer.ggml.pre": (STRING, kind),
            "tokenizer.ggml.tokens": ((ARRAY, STRING), tokens),
            "tokenizer.ggml.token_type": ((ARRAY, I32), [1] * len(TOKENS) + [3, 4]),
            "tokenizer.ggml.merges": ((ARRAY, STRING), MERGES),
            "tokenizer.ggml.bos_token_id": (U32, len(TOKENS)),
            "tokenizer.ggml.eos_token_id": (U32, len(TOKENS)),
            "tokenizer.ggml.add_bos_token": (BOOL, kind != "gpt-2"),
            "tokenizer.ggml.add_eos_token": (BOOL, kind == "qwen2"),
            "tokenizer.ggml.add_space_prefix": (BOOL, kind == "default"),
        }))


def tokenizer(pre_tokenizer, **other):
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    vocab = {token: id for id, token in enumerate(TOKENS)}
    return {"version": "1.0", "added_tokens": [], "normalizer": None,
            "pre_tokenizer": pre_tokenizer or byte_level, "post_processor": None,
            "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "vocab": vocab, "merges": MERGES}} | other


def added(id, content, **flags):
    return {"id": id, "content": content, "special": True} | flags


def split(pattern, behavior, invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def write_tokenizer_json():
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "use_regex": False}
    write("tokenizer_json", "gpt2", tokenizer(None))
    write("tokenizer_json", "llama3", tokenizer(
        {"type": "Sequence", "pretokenizers": [
            split({"Regex": r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|\s*[\r\n]+|\s+(?!\S)"},
                  "Isolated"), byte_level]},
        added_tokens=[added(100, "<s>"), added(TOKENS.index("x"), "x", lstrip=True, special=False)],
        post_processor={"type": "Sequence", "processors": [{"type": "ByteLevel"}, {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                       {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [100], "tokens": ["<s>"]}}}]}))
    write("tokenizer_json", "digits_and_nfc", tokenizer(
        {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True}, byte_level]},
        normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}]},
        added_tokens=[added(TOKENS.index("he"), "he", single_word=True, normalized=True)]))
    for behavior in ["Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]:
        write("tokenizer_json", f"split_{behavior.lower()}", tokenizer(
            {"type": "Sequence", "pretokenizers": [
                split({"String": "l"}, behavior, invert=behavior == "Contiguous"), byte_level]}))
    model = tokenizer(None)["model"] | {
        "unk_token": "x", "fuse_unk": True, "ignore_merges": True, "byte_fallback": False,
        "merges": [merge.split() for merge in MERGES], "dropout": None,
        "continuing_subword_prefix": "", "end_of_word_suffix": None}
    write("tokenizer_json", "model_options", tokenizer(None, model=model))


# Chat templates: those of the golden test, where they are small enough.


def write_chat_templates():
    path = Path(__file__).parent.parent / "golden" / "jinja" / "cases.json"
    cases = json.loads(path.read_text())
    for one in cases["constructs"] + cases["templates"]:
        write("chat_template", one["name"], one["template"].encode())


if __name__ == "__main__":
    write_chat_templates()
    write_safetensors()
    write_index()
    write_gguf()
    write_gguf_tokenizers()
    write_tokenizer_json()
    corpus_tokenizers.write_tokenizer_json(write)
    corpus_tokenizers.write_vocab_merges(write)
    corpus_tokenizers.write_gguf_tokenizers(write, gguf)
    corpus_tokenizers.write_vocabularies(write)
    corpus_configs.write_configs(write)
    corpus_configs.write_meta(write)
    corpus_configs.write_lit_configs(write)
    corpus_configs.write_names(write)
    corpus_torch.write_torch(write)
    corpus_torch.write_zip(write)
    corpus_torch.write_dcp(write)
