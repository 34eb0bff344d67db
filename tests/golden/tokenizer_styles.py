"""The structure of well-known models' tokenizer.json: all of it but the vocabulary."""

from make_tokenizer_reference import LLAMA3, QWEN2

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN35 = QWEN2.replace(r"\p{L}+|", r"[\p{L}\p{M}]+|").replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]")
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = GPT4O.replace(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace(r"\p{N}{1,3}", r"\p{N}")
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s"
)
DEEPSEEK_LETTERS = (
    "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5"
    "\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-"
    "\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d"
    "\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-"
    "\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113"
    "\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149"
    "\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b"
    "\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-"
    "\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0"
    "-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943]+"
)
DEEPSEEK_PUNCTUATION = "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"
DEEPSEEK_CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
DEEPSEEK3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"


def sequence(member, *parts):
    return {"type": "Sequence", member: list(parts)}


def steps(*parts):
    return sequence("pretokenizers", *parts)


def split(pattern, behavior="Isolated", kind="Regex", invert=False):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def bytes_(add_prefix_space=False, use_regex=True):
    return {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": True,
            "use_regex": use_regex}  # fmt: skip


def digits(individual=True):
    return {"type": "Digits", "individual_digits": individual}


def replace(text, content, kind="String"):
    return {"type": "Replace", "pattern": {kind: text}, "content": content}


def metaspace(scheme="always", split=True):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


def token(id, content, special=True, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": not special, "special": special} | flags  # fmt: skip


def template(before=(), after=()):
    def pieces(sequence, type_id):
        special = lambda name: {"SpecialToken": {"id": name, "type_id": type_id}}
        return [*map(special, [name for name, _ in before]),
                {"Sequence": {"id": sequence, "type_id": type_id}},
                *map(special, [name for name, _ in after])]  # fmt: skip

    ids = {name: {"id": name, "ids": [id], "tokens": [name]} for name, id in [*before, *after]}
    return {"type": "TemplateProcessing", "single": pieces("A", 0),
            "pair": pieces("A", 0) + pieces("B", 1), "special_tokens": ids}  # fmt: skip


CHAT = [token(1000, "<|im_start|>"), token(1001, "<|im_end|>"), token(1002, "<|endoftext|>")]
LLAMA = [token(0, "<unk>"), token(1, "<s>"), token(2, "</s>")]
LLAMA_DECODER = sequence("decoders", replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                         {"type": "Strip", "content": " ", "start": 1, "stop": 0})  # fmt: skip
BOS = template(before=[("<s>", 1)])
LLAMA_NORMALIZER = sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁"))


def byte_level(pre_tokenizer, **other):
    return {"vocabulary": "byte_level", "added_tokens": CHAT, "normalizer": None,
            "pre_tokenizer": pre_tokenizer, "post_processor": bytes_(), "decoder": bytes_()} | other  # fmt: skip


def spaces(**other):
    return {"vocabulary": "metaspace", "added_tokens": LLAMA, "normalizer": None, "pre_tokenizer": None,
            "post_processor": BOS, "decoder": LLAMA_DECODER} | other  # fmt: skip


def unigram(**other):
    return {"vocabulary": "unigram", "added_tokens": LLAMA, "normalizer": {"type": "Precompiled"},
            "pre_tokenizer": metaspace(), "post_processor": template(after=[("</s>", 2)]),
            "decoder": metaspace()} | other  # fmt: skip


STYLES = {
    "gpt2": byte_level(bytes_()),
    "roberta": byte_level(
        bytes_(add_prefix_space=True),
        added_tokens=CHAT + [token(1003, "<s>"), token(1004, "</s>"), token(1005, "<mask>", lstrip=True)],
        post_processor={"type": "RobertaProcessing", "sep": ["</s>", 1004], "cls": ["<s>", 1003],
                        "trim_offsets": True, "add_prefix_space": True}),
    "gpt_neox": byte_level(
        bytes_(), normalizer={"type": "NFC"},
        added_tokens=CHAT + [token(1003 + n, " " * (n + 2), special=False) for n in range(6)]),
    "llama3": byte_level(
        steps(split(LLAMA3), bytes_(use_regex=False)), model={"ignore_merges": True},
        post_processor=sequence("processors", bytes_(), template(before=[("<|im_start|>", 1000)]))),
    "qwen2": byte_level(steps(split(QWEN2), bytes_(use_regex=False)), normalizer={"type": "NFC"}),
    "smollm": byte_level(steps(digits(), bytes_())),
    "falcon": byte_level(steps({"type": "Punctuation", "behavior": "Contiguous"}, bytes_(),
                               digits(individual=False), split("[0-9][0-9][0-9]"))),
    "gpt4o": byte_level(steps(split(GPT4O), bytes_(use_regex=False))),
    "tekken": byte_level(steps(split(TEKKEN), bytes_(use_regex=False)), model={"ignore_merges": True}),
    "cl100k": byte_level(steps(split(CL100K, "Removed", invert=True), bytes_(use_regex=False))),
    "command_r": byte_level(steps(digits(), bytes_()), normalizer={"type": "NFC"}),
    "olmo": byte_level(bytes_(), normalizer={"type": "NFC"}),
    "stablelm2": byte_level(steps(split(QWEN2), bytes_(use_regex=False))),
    "dbrx": byte_level(steps(split(LLAMA3), bytes_(use_regex=False))),
    "qwen35": byte_level(steps(split(QWEN35), bytes_(use_regex=False)), normalizer={"type": "NFC"}),
    "viking": byte_level(steps(split(BLOOM), digits(), bytes_(use_regex=False))),
    "gguf_default": byte_level(steps(
        split(r"[\p{P}\$\+<=>\^~\|]+"), split(GPT2), split(r"\p{N}+"), split("[0-9][0-9][0-9]"),
        bytes_(use_regex=False))),
    "bloom": byte_level(steps(split(BLOOM), bytes_(use_regex=False))),
    "deepseek_llm": byte_level(
        steps(split("[\r\n]"), split(DEEPSEEK_LETTERS), split(DEEPSEEK_PUNCTUATION),
              split(r"\s+$"), split(DEEPSEEK_CJK), digits(), bytes_(use_regex=False)),
        normalizer=sequence("normalizers")),
    "deepseek_coder": byte_level(
        steps(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(DEEPSEEK_CJK),
              digits(), bytes_(use_regex=False))),
    "deepseek_v3": byte_level(
        steps(split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), split(DEEPSEEK3), bytes_(use_regex=False))),
    "llama2": spaces(normalizer=LLAMA_NORMALIZER),
    "llama2_first": spaces(pre_tokenizer=metaspace("first", split=False)),
    "mistral": spaces(
        pre_tokenizer=metaspace("first", split=False),
        added_tokens=LLAMA + [token(1100, "[INST]"), token(1101, "[/INST]")]),
    "phi3": spaces(
        normalizer=LLAMA_NORMALIZER,
        added_tokens=[token(0, "<unk>"), token(1, "<s>"), token(2, "</s>", special=False, rstrip=True, normalized=False),
                      token(1100, "<|endoftext|>"), token(1101, "<|user|>", rstrip=True), token(1102, "<|end|>", rstrip=True)]),
    "gemma": spaces(
        normalizer=replace(" ", "▁"), pre_tokenizer=split(" ", "MergedWithPrevious", "String"),
        added_tokens=LLAMA + [token(1100, "\n\n\n\n", special=False, normalized=False),
                              token(1101, "▁▁▁", special=False, normalized=False),
                              token(1102, "<bos>"), token(1103, "hello", special=False, single_word=True)],
        decoder=sequence("decoders", replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"})),
    "gguf_gemma": spaces(
        normalizer=replace(" ", "▁"), added_tokens=LLAMA + [token(1100, "  ", special=False, normalized=False)],
        decoder=sequence("decoders", replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"})),
    "unknown": spaces(
        model={"byte_fallback": False}, pre_tokenizer=metaspace("never"), decoder=metaspace("never"),
        post_processor={"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]}),
    "unknown_apart": spaces(
        model={"byte_fallback": False, "fuse_unk": False},
        pre_tokenizer=steps({"type": "Whitespace"}, metaspace()), decoder=metaspace()),
    "t5": unigram(),
    "xlm_roberta": unigram(
        pre_tokenizer=steps({"type": "WhitespaceSplit"}, metaspace()),
        added_tokens=LLAMA + [token(900, "<mask>", lstrip=True)]),
    "albert": unigram(normalizer=sequence(
        "normalizers", replace("``", "\""), replace("''", "\""), {"type": "NFKD"}, {"type": "StripAccents"},
        {"type": "Lowercase"}, {"type": "Precompiled"})),
    "xlnet": unigram(
        normalizer=sequence("normalizers", {"type": "Precompiled"}, {"type": "Strip", "strip_left": False, "strip_right": True},
                            replace(" {2,}", "▁", "Regex")),
        pre_tokenizer=metaspace("first"), decoder=metaspace("first")),
    "unigram_bytes": unigram(
        model={"byte_fallback": True}, normalizer=sequence("normalizers", {"type": "NFKC"}, {"type": "Strip", "strip_left": True, "strip_right": True}),
        pre_tokenizer=steps({"type": "Punctuation", "behavior": "MergedWithPrevious"}, metaspace("first", split=False)),
        decoder=LLAMA_DECODER),
}  # fmt: skip
