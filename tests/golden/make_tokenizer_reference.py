#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/: what the `tokenizers` library makes of tricky texts.

Needs the packages tokenizers and gguf, and the SmolLM2 GGUF file:
    make_tokenizer_reference.py SmolLM2-135M-Instruct.Q4_1.gguf tests/golden/tokenizer

smollm2.merges  the file's vocabulary: control tokens, byte characters, then the merges in order;
                token i of the vocabulary is line i of it (a merge's token is its two halves joined)
<kind>.jsonl    {"text", "ids"} for each text, for each kind of `tokenizer.ggml.pre`, all with that
                one vocabulary; pre-tokenizers are built here through the library's own classes,
                as the tokenizer.json of the kind's model has them
"""

import json
import random
import sys
from pathlib import Path

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, processors
from tokenizers import pre_tokenizers as pre

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def byte_level(use_regex=True):
    return pre.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def split(pattern):
    return pre.Split(Regex(pattern), behavior="isolated")


KINDS = {
    "smollm": lambda: pre.Sequence([pre.Digits(individual_digits=True), byte_level()]),
    "gpt-2": byte_level,
    "llama-bpe": lambda: pre.Sequence([split(LLAMA3), byte_level(use_regex=False)]),
    "qwen2": lambda: pre.Sequence([split(QWEN2), byte_level(use_regex=False)]),
}


def make_tokenizer(metadata, kind):
    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: i for i, token in enumerate(tokens)},
            merges=merges,
            ignore_merges=kind == "llama-bpe",
        )
    )
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, type_ in zip(tokens, metadata["tokenizer.ggml.token_type"])
            if type_ == 3
        ]
    )
    tokenizer.pre_tokenizer = KINDS[kind]()
    if kind == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    if kind == "llama-bpe":
        bos = metadata["tokenizer.ggml.bos_token_id"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{tokens[bos]} $A", special_tokens=[(tokens[bos], bos)]
        )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


SENTENCES = [
    "Hello, my name is",
    "",
    " ",
    "The quick brown fox jumps over the lazy dog.",
    "I'm sure they've said it's what we'll do; she'd agree, you're right, don't.",
    "I'M SURE THEY'VE SAID IT'S WHAT WE'LL DO; SHE'D AGREE, YOU'RE RIGHT, DON'T.",
    "'s 't 're 've 'm 'll 'd 'S 'x ''s ' s",
    "it\u2019s a curly apostrophe, and \u017f'\u017f a long s",
    "3.14159 2,718 1000000 0x1F 12a34b56 ½ ² ³ Ⅷ ① ٣٤٥ ४५६ １２３ 𝟘𝟙𝟚",
    "a1b22c333 4444 55555",
    "tel. +1 (555) 010-9999, 2024-02-29T23:59:60Z, 192.168.0.1",
    "Grüße aus Zürich, señor! Çà et là, l'été à la plage.",
    "Zażółć gęślą jaźń. Příliš žluťoučký kůň. Árvíztűrő tükörfúrógép.",
    "Привет, мир! Съешь же ещё этих мягких французских булок.",
    "Καλημέρα κόσμε, τι κάνεις;",
    "שלום עולם! עִבְרִית עם ניקוד",
    "مرحبا بالعالم، كيف حالك؟ ١٢٣",
    "नमस्ते दुनिया। हिन्दी में लिखा है।",
    "สวัสดีชาวโลก ภาษาไทยไม่มีช่องว่าง",
    "你好，世界！这是一个测试。",
    "こんにちは世界。カタカナとひらがな、漢字。ﾊﾝｶｸ",
    "안녕하세요 세계! 한국어 텍스트입니다.",
    "ខ្មែរ မြန်မာ ქართული հայերեն አማርኛ ᏣᎳᎩ ᐃᓄᒃᑎᑐᑦ",
    "𐌰𐌱𐌲 𝓗𝓮𝓵𝓵𝓸 𓀀𓀁 𠀀𠀁 𪚥",
    "\U00031350\U000323af \U0002ebf0 \U0001e4d0 \U00016d70\U00011f50 \U00010d40 \U00011de0",
    "😀 😃😄 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 ❤️ ☃ 1️⃣",
    "e\u0301 é \u1112\u1161\u11ab 한 Å \u212b A\u030a ﬁ ﬀ \u0344 \u0958",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319A\u0301\u0300\u0302L\u030aG",
    "a\u00a0b\u2003c\u3000d\u200be\ufefff\u2028g\u2029h\u0085i\u180ej\u202fk\u205fl\u1680m",
    "tabs\tand\t\tmore\t \t mixed \t",
    "line\nline\r\nline\rline\n\n\nline\n \n  \nend\n",
    "  leading and trailing  ",
    "a  b   c    d     e",
    "\n", "\n\n", "\r\n\r\n", "\t", "   \n   ", "\x0b\x0c\x1c\x1d\x1e\x1f",
    "\x00\x01\x02\x07\x08\x1b[31mred\x1b[0m\x7f\x80\x9f",
    "def f(x: int) -> str:\n    return f\"{x!r:>10}\"  # comment\n",
    "for (int i = 0; i < n; ++i) { a[i] += b[i] * c; }\n",
    "\tif (x) {\n\t\ty();\n\t}\n",
    "SELECT * FROM t WHERE a <> 'b' AND c >= 1.5e-3;",
    "<div class=\"a b\" id='c'>&nbsp;&lt;p&gt;</div><!-- x -->",
    "https://example.org/a/b?c=d&e=%20f#g user@example.org C:\\dir\\file.txt ~/.bashrc",
    "{\"a\": [1, 2.5, null, true], \"b\": {\"c\": \"\\u00e9\\n\"}}",
    "\\frac{a}{b} + \\sum_{i=0}^{n} x_i^2 \\leq \\infty $$ ∑∫√≤≥≠±×÷ ←→",
    "a_b __init__ camelCase PascalCase SCREAMING_CASE kebab-case x.y.z",
    "!!! ??? ... --- === *** ### $$$ %%% &&& @@@ ~~~ ``` ''' \"\"\" ((( ))) [[ ]] {{ }}",
    "—–‒― “quoted” ‘single’ «guillemets» … • † ‡ § ¶ © ® ™ € £ ¥",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|><|im_end|><|endoftext|>",
    "<|im_start|", "|im_start|>", "<<|im_start|>>", "<|im_<|im_start|>start|>", "< |im_start|>",
    " <|im_start|> x <|im_end|> ", "a<|im_start|>b<|im_end|>c", "<|IM_START|>",
    "<repo_name>r<reponame>s<file_sep><filename>a.py<gh_stars>5<empty_output>",
    "<jupyter_start><jupyter_text>x<jupyter_code>1+1<jupyter_output>2<jupyter_script>",
    "<issue_start><issue_comment><issue_closed>",
    "Ġhello Ċ Ċ Ġ", "▁hello", "<0x0A>", "\ufffd \ufffe \uffff \U0010ffff",
    "a" * 300, "ab" * 200, "x" * 31 + "y", "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk" * 6,
    "0" * 70, "-" * 130, "=" * 77, " " * 200, " " * 63 + "x", "\n" * 40, "\t" * 33 + "x", "é" * 90,
    "字" * 60, "😀" * 30, "🇩🇪" * 20, "AbC" * 60, "hahaha" * 30,
    "pneumonoultramicroscopicsilicovolcanoconiosis antidisestablishmentarianism",
]


def random_texts(count):
    """Texts put together from pieces that meet at places where a pre-tokenizer must decide."""
    rng = random.Random(20240229)
    pieces = list(
        "abcXYZ019 \n\t\r'\".,;:!?-_/\\()[]{}<>|@#$%^&*+=~`"
    ) + [
        "  ", "\n\n", "'s", "'ll", "'RE", " the", " of", "ing", "tion", "é", "ß", "e\u0301", "я", "Ж", "λ",
        "ש", "ع", "ह", "ि", "ไ", "字", "の", "한", "\u1112\u1161", "😀", "👍🏽", "\u200d", "\ufe0f", "½", "٣", "Ⅷ",
        "\u00a0", "\u2003", "\u3000", "\u0085", "\u180e", "\u200b", "\ufeff", "ﬁ", "İ", "ſ", "K",
        "<|im_start|>", "<|im_end|>", "<|endoftext|>", "123", "2024", "\x00", "\x7f", "\U000323af",
    ]  # fmt: skip
    for _ in range(count):
        yield "".join(rng.choice(pieces) for _ in range(rng.randint(1, 24)))


def main():
    model, folder = Path(sys.argv[1]), Path(sys.argv[2])
    fields = gguf.GGUFReader(model).fields
    metadata = {k: f.contents() for k, f in fields.items() if k.startswith("tokenizer.ggml.")}
    tokens, merges = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.merges"]
    first = len(tokens) - len(merges)
    assert tokens[first:] == [merge.replace(" ", "") for merge in merges]
    controls = [i for i, type_ in enumerate(metadata["tokenizer.ggml.token_type"]) if type_ == 3]
    assert controls == list(range(len(controls)))

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "smollm2.merges").write_text("\n".join(tokens[:first] + merges) + "\n", "utf-8")
    for kind in KINDS:
        tokenizer = make_tokenizer(metadata, kind)
        texts = SENTENCES + list(random_texts(220 if kind == "smollm" else 100))
        with open(folder / f"{kind}.jsonl", "w", encoding="utf-8") as out:
            for text in texts:
                ids = tokenizer.encode(text).ids
                out.write(json.dumps({"text": text, "ids": ids}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
