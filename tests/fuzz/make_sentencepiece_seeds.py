#!/usr/bin/env python3
"""Trains the seeds of the fuzz target sentencepiece. Needs the package sentencepiece.

    tests/fuzz/make_sentencepiece_seeds.py
"""

import io
import re
import tempfile
from pathlib import Path

import sentencepiece

FOLDER = Path(__file__).parent / "corpus" / "sentencepiece"
TEXTS = ["hello hello 12345", "Hello's hello held", "x=f(a_b);", "hell shell hole 12 45"]
RULES = "41\t61\n66 69\tFB01\nFF21\t41\nAD\t\n"  # A to a, "fi" to its ligature, ...
KINDS = {
    "bpe": {"model_type": "bpe", "byte_fallback": True, "vocab_size": 290, "split_digits": True,
            "normalization_rule_name": "identity", "remove_extra_whitespaces": False},
    "bpe_without_bytes": {"model_type": "bpe", "vocab_size": 60, "bos_id": -1,
                          "normalization_rule_name": "identity"},
    "unigram_identity": {"model_type": "unigram", "vocab_size": 40, "byte_fallback": False,
                         "treat_whitespace_as_suffix": True, "add_dummy_prefix": False,
                         "normalization_rule_name": "identity"},
    "unigram": {"model_type": "unigram", "vocab_size": 50,
                "user_defined_symbols": ["<|end|>", "<|"], "control_symbols": ["<c>"]},
}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write(RULES)
        rules.flush()
        for kind, settings in KINDS.items():
            if "normalization_rule_name" not in settings:
                settings = settings | {"normalization_rule_tsv": rules.name}
            model = io.BytesIO()
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(TEXTS), model_writer=model, num_threads=1, minloglevel=1,
                hard_vocab_limit=False, **settings)
            # The pieces for bytes need not say that their score is 0.
            content = re.sub(rb"\n\x0f(\n\x06<0x..>)\x15\0{4}", b"\n\n\\1", model.getvalue())
            assert len(content) <= 4096, (kind, len(content))
            (FOLDER / kind).write_bytes(content)


if __name__ == "__main__":
    main()
