"""Seeds of the tokenizers with U+2581 for spaces, and of each step of a tokenizer.json."""

import base64
import json
import struct

BOOL, F32, I32, U32, STRING, ARRAY = 7, 6, 5, 4, 8, 9
TOKENS = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in (0x0A, 0xC3, 0xA9, 0xE4, 0xBD, 0xA0)]
TOKENS += list("▁heloHs'12345x=f(a_b);é½") + ["he", "ll", "llo", "hello", "▁hello", "▁▁", "12"]
MERGES = ["h e", "l l", "ll o", "he llo", "▁ hello", "▁ ▁", "1 2"]
REPLACE_SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
LLAMA_NORMALIZER = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, REPLACE_SPACES]}
LLAMA_DECODER = {"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
    {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}


def metaspace(scheme, split=True):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


def added(id, content, **flags):
    return {"id": id, "content": content, "special": True} | flags


def tokenizer(**other):
    vocab = {token: id for id, token in enumerate(TOKENS)}
    return {"added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>", rstrip=True)],
            "normalizer": None, "pre_tokenizer": None, "post_processor": None,
            "decoder": LLAMA_DECODER,
            "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
                      "vocab": vocab, "merges": MERGES}} | other


def unigram(**other):
    vocab = [[token, -float(id)] for id, token in enumerate(TOKENS)]
    model = {"type": "Unigram", "unk_id": 0, "vocab": vocab} | other.pop("model", {})
    return tokenizer(model=model, pre_tokenizer=metaspace("always"), decoder=metaspace("always"), **other)


def charsmap():
    """A table that makes "x" of "a": the root, "a" below it, and what it stands for."""
    units = [0] * 512
    units[0] = 256 << 10  # its children are at 256 ^ their byte
    units[256 ^ ord("a")] = 1 << 10 | 1 << 8 | ord("a")  # has a value, at its own place ^ 1
    units[256 ^ ord("a") ^ 1] = 0x80000000
    array = struct.pack("<512I", *units)
    return base64.b64encode(struct.pack("<I", len(array)) + array + b"x\0").decode()


def write_tokenizer_json(write):
    write("tokenizer_json", "llama2", tokenizer(normalizer=LLAMA_NORMALIZER))
    write("tokenizer_json", "mistral", tokenizer(pre_tokenizer=metaspace("first", split=False)))
    write("tokenizer_json", "gemma", tokenizer(
        normalizer=REPLACE_SPACES,
        pre_tokenizer={"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                       "invert": False}))
    write("tokenizer_json", "t5", unigram(post_processor={
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "special_tokens": {"</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}}))
    write("tokenizer_json", "unigram_bytes", unigram(
        model={"byte_fallback": True}, post_processor={"type": "BertProcessing", "sep": ["</s>", 2],
                                                       "cls": ["<s>", 1]}))
    write("tokenizer_json", "precompiled", tokenizer(
        normalizer={"type": "Precompiled", "precompiled_charsmap": charsmap()}))
    write("tokenizer_json", "normalizers", tokenizer(normalizer={"type": "Sequence", "normalizers": [
        {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"},
        {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "NFKC"}, {"type": "NFD"},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]}))
    write("tokenizer_json", "pre_tokenizers", tokenizer(pre_tokenizer={
        "type": "Sequence", "pretokenizers": [
            {"type": "Punctuation", "behavior": "Contiguous"}, {"type": "WhitespaceSplit"},
            {"type": "CharDelimiterSplit", "delimiter": "x"}, {"type": "Whitespace"},
            metaspace("first")]}))


def write_vocabularies(write):
    """Of tiktoken's lines, tekken.json and vocab.txt: the kind, and a config in the first line."""
    tokens = [bytes([byte]) for byte in range(256)] + [b"he", b"ll", b"hell", b"\xe4\xbd", b"  "]
    encoded = [base64.b64encode(token).decode() for token in tokens]
    lines = "".join(f"{token} {rank}\n" for rank, token in enumerate(encoded))
    decoder = {"added_tokens_decoder": {"262": {"content": "<s>", "special": True}}}
    write("vocabularies", "llama3", b"l{}\n" + lines.encode())
    write("vocabularies", "kimi", b"m" + json.dumps(decoder).encode() + b"\n" + lines.encode())
    write("vocabularies", "few_tokens", b"l{}\n" + "".join(lines.splitlines(True)[:9]).encode())
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "##s", "h", "##e", "12", ".", "\u4f60"]
    for name, config in [("uncased", {}), ("cased", {"do_lower_case": False, "strip_accents": True})]:
        text = "\n".join([json.dumps(config), *words, ""])
        write("vocabularies", "bert_" + name, b"t" + text.encode())
    vocab = [{"rank": rank, "token_bytes": token} for rank, token in enumerate(encoded[:60])]
    bert = {"added_tokens": [{"id": 1, "content": "[UNK]", "special": True}],
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                      "vocab": {word: id for id, word in enumerate(words)}}}
    write("tokenizer_json", "word_piece", bert)
    config = {"pattern": "\\p{L}+|\\s+|.", "default_vocab_size": 62, "default_num_special_tokens": 2}
    tekken = {"config": config, "vocab": vocab, "special_tokens": [{"rank": 1, "token_str": "<s>"}]}
    write("vocabularies", "tekken", b"k" + json.dumps(tekken, separators=(",", ":")).encode())


def write_vocab_merges(write):
    """The files of a directory as the members of one object."""
    tokens = list("heloHsx12345\u0120'=f(a_b);\u010a") + ["he", "ll", "llo", "hello", "<s>", "</s>"]
    files = {"vocab.json": {token: id for id, token in enumerate(tokens)},
             "merges.txt": "#version: 0.2\nh e\nl l\nll o\nhe llo\n"}  # fmt: skip
    write("vocab_merges", "gpt2", files)
    write("vocab_merges", "qwen2", files | {
        "added_tokens.json": {"<x>": 50},
        "tokenizer_config.json": {
            "tokenizer_class": "Qwen2Tokenizer", "eos_token": {"content": "</s>", "lstrip": True},
            "additional_special_tokens": ["<x>"], "add_bos_token": True, "bos_token": "<s>",
            "added_tokens_decoder": {"60": added(60, "<y>", rstrip=True, normalized=False)}}})
    write("vocab_merges", "roberta", files | {
        "tokenizer_config.json": {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True},
        "special_tokens_map.json": {"mask_token": {"content": "x", "single_word": True}}})


def write_gguf_tokenizers(write, gguf):
    tokens = TOKENS + ["<u>"]
    types = [2, 3, 3] + [6] * 6 + [1] * (len(TOKENS) - 9) + [4]
    for name, other in {
        "llama": {},
        "gemma": {"tokenizer.ggml.add_space_prefix": (BOOL, False),
                  "tokenizer.ggml.remove_extra_whitespaces": (BOOL, True)},
        "phi3": {"general.name": (STRING, "Phi-3"), "tokenizer.ggml.add_eos_token": (BOOL, True)},
    }.items():
        write("gguf_tokenizer", name, gguf({
            "tokenizer.ggml.model": (STRING, "llama"),
            "tokenizer.ggml.tokens": ((ARRAY, STRING), tokens),
            "tokenizer.ggml.scores": ((ARRAY, F32), [-float(id) for id in range(len(tokens))]),
            "tokenizer.ggml.token_type": ((ARRAY, I32), types),
            "tokenizer.ggml.bos_token_id": (U32, 1),
            "tokenizer.ggml.eos_token_id": (U32, 2),
            "tokenizer.ggml.unknown_token_id": (U32, 0),
        } | other))
