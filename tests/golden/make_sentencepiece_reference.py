#!/usr/bin/env python3
"""Makes tests/golden/sentencepiece: what the SentencePiece library makes of tricky texts.

Needs the package sentencepiece, and what make_tokenizer_reference.py needs, whose texts it takes:
    make_sentencepiece_reference.py tests/golden/sentencepiece

<kind>.model  a small model trained here on those texts: `llama` with the settings of LLaMA's (BPE,
              bytes for what has no piece, digits apart, white space kept as it is), `unigram` with
              the library's own defaults (nmt_nfkc, white space tidied, <unk> for what has no piece)
              and a user-defined piece
<kind>.jsonl  {"text" or "hex", "ids", "decoded"} for each text; "hex" for bytes that are not UTF-8,
              of which the library got Python's errors="replace". Left out are texts for which the
              same pieces in another order are as good: versions of the library choose differently
"""

import io
import json
import random
import sys
from pathlib import Path

import sentencepiece
from make_tokenizer_reference import SENTENCES, random_texts

KINDS = {
    "llama": {
        "model_type": "bpe",
        "vocab_size": 400,
        "byte_fallback": True,
        "split_digits": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
        "character_coverage": 0.98,
    },
    "unigram": {
        "model_type": "unigram",
        "vocab_size": 280,
        "normalization_rule_name": "nmt_nfkc",
        "user_defined_symbols": ["<|im_start|>", "<|im_end|>"],
        "character_coverage": 0.98,
    },
}

MORE = [
    "<s>", "</s>", "<s>Hello</s>", "<unk>", "<pad> <s> x", " ⁇ ", "▁", "▁▁x ▁ y", "x▁y", "<0x0A><0xFF>",
    "ｆｕｌｌ ｗｉｄｔｈ ＡＢＣ　１２３", "㎏ ㎡ ㌔ ㍿ ﷺ ｶﾞ ﾊﾟ ㈱ ①②", "ℌ𝔢𝔩𝔩𝔬 ﬃ ſ ª º ² ¼ …", "a\u00adb\u200cc\u200dd\u2060e",
    " a", "  a", "a ", "a  ", "\ta", "\na", "a\n\n\nb", "   \u3000 a \u00a0 b \u3000",
]  # fmt: skip


# Without what is one character over and over; and what is ASCII counts more, so that not every
# character of every script becomes a piece.
LINES = [text for text in SENTENCES if len(text) < 150 and len(set(text)) > 4]
CORPUS = LINES + MORE + 12 * [text for text in LINES if text.isascii()]


def broken_texts(count):
    """Bytes of the sentences with some of them overwritten, left out or doubled."""
    rng = random.Random(20240301)
    rest = [text.encode() for text in SENTENCES if 4 < len(text.encode()) < 120]
    for _ in range(count):
        text = bytearray(rng.choice(rest))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(text))
            text[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
            text = text or bytearray(b"\xff")
        yield bytes(text)
    yield from (b"\xff", b"a\x80", b"\xe4\xb8", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf \xf5x")


def is_ambiguous(processor, text):
    best = processor.nbest_encode_as_ids(text, 4) if text else []
    return any(sorted(other) == sorted(best[0]) for other in best[1:])


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    texts = [t.encode() for t in SENTENCES + MORE + list(random_texts(120))] + list(broken_texts(60))
    for kind, settings in KINDS.items():
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS),
            model_writer=model,
            num_threads=1,
            minloglevel=1,
            **settings,
        )
        (folder / f"{kind}.model").write_bytes(model.getvalue())
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        with open(folder / f"{kind}.jsonl", "w", encoding="ascii") as out:
            for text in texts:
                valid = text.decode(errors="replace")
                if kind == "unigram" and is_ambiguous(processor, valid):
                    continue
                ids = processor.encode(valid)
                line = {"text": valid} if valid.encode() == text else {"hex": text.hex()}
                line |= {"ids": ids, "decoded": processor.decode(ids)}
                out.write(json.dumps(line, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
