#!/usr/bin/env python3
"""Writes tests/golden/tokenizer_styles/: what the reference libraries make of 2,000 texts.

Needs the packages tokenizers, sentencepiece and protobuf:
    make_tokenizer_styles_reference.py tests/golden/tokenizer_styles
    make_tokenizer_styles_reference.py tests/golden/tokenizer_styles STYLE LINE    (shows one)

texts.jsonl        a text a line: a string, or {"hex"} for bytes that are not UTF-8, of which the
                   library got Python's errors="replace"
<vocabulary>.json  the member `model` of a tokenizer.json, trained here on texts like those
styles.json        for each style the rest of its tokenizer.json, which has the structure of the one
                   of the models it is named after; "vocabulary" names its model, "model" what
                   differs in it
<style>.hashes     for each text: how many ids, FNV-1a of the ids (4 bytes each, little-endian) and of
                   the text they are decoded to without special tokens, both folded to 32 bits
"""

import base64
import io
import json
import sys
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizer_styles import STYLES
from tokenizer_texts import all_texts, fnv, training_texts
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers


def byte_level():
    """Byte-level BPE."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1000, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(training_texts(), trainer)
    return json.loads(tokenizer.to_str())["model"]


def train(**settings):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(training_texts()), model_writer=model, num_threads=1, minloglevel=1,
        **settings,
    )  # fmt: skip
    return proto.ModelProto.FromString(model.getvalue())


def sentencepiece_bpe():
    return train(
        model_type="bpe", vocab_size=1100, byte_fallback=True, split_digits=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True, character_coverage=0.98,
    )  # fmt: skip


def merges_of(pieces):
    """Pairs of pieces in the order in which they merge: as transformers' converters have it."""
    vocabulary = {piece.piece: id for id, piece in enumerate(pieces)}
    merges = []
    for piece in pieces:
        if piece.type != proto.ModelProto.SentencePiece.NORMAL:
            continue
        halves = [(piece.piece[:i], piece.piece[i:]) for i in range(1, len(piece.piece))]
        known = [(l, r) for l, r in halves if l in vocabulary and r in vocabulary]
        known.sort(key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
        merges += [(piece.score, l, r) for l, r in known]
    merges.sort(key=lambda merge: (merge[0], len(merge[1]), len(merge[2])), reverse=True)
    return [[l, r] for _, l, r in merges]


def metaspace():
    pieces = sentencepiece_bpe().pieces
    return {
        "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
        "vocab": {piece.piece: id for id, piece in enumerate(pieces)}, "merges": merges_of(pieces),
    }  # fmt: skip


def unigram():
    model = train(
        model_type="unigram", vocab_size=900, normalization_rule_name="nmt_nfkc", byte_fallback=True,
        character_coverage=0.98,
    )  # fmt: skip
    vocab = [[piece.piece, piece.score] for piece in model.pieces]
    charsmap = base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()
    return {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": False,
            "charsmap": charsmap}  # fmt: skip


VOCABULARIES = {"byte_level": byte_level, "metaspace": metaspace, "unigram": unigram}


def put_charsmap(node, charsmap):
    if isinstance(node, dict):
        if node.get("type") == "Precompiled":
            node["precompiled_charsmap"] = charsmap
        for value in node.values():
            put_charsmap(value, charsmap)
    elif isinstance(node, list):
        for value in node:
            put_charsmap(value, charsmap)


def assemble(style, vocabularies):
    """A style's tokenizer.json: as the tests do it."""
    rest = json.loads(json.dumps(STYLES[style]))
    model = vocabularies[rest.pop("vocabulary")] | rest.pop("model", {})
    put_charsmap(rest, model.pop("charsmap", None))
    return {"version": "1.0", "truncation": None, "padding": None, **rest, "model": model}


def hashes(ids, decoded):
    packed = b"".join(id.to_bytes(4, "little") for id in ids)
    return f"{len(ids)} {fnv(packed):08x} {fnv(decoded.encode()):08x}\n"


def write_json(path, content):
    path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")


def main():
    folder = Path(sys.argv[1])
    texts = all_texts()
    if len(sys.argv) == 4:
        vocabularies = {name: json.loads((folder / f"{name}.json").read_text("utf-8"))
                        for name in VOCABULARIES}  # fmt: skip
        tokenizer = Tokenizer.from_str(json.dumps(assemble(sys.argv[2], vocabularies)))
        encoding = tokenizer.encode(texts[int(sys.argv[3])].decode(errors="replace"))
        return print(encoding.ids, encoding.tokens, repr(tokenizer.decode(encoding.ids)), sep="\n")
    folder.mkdir(parents=True, exist_ok=True)
    vocabularies = {name: make() for name, make in VOCABULARIES.items()}
    for name, model in vocabularies.items():
        write_json(folder / f"{name}.json", model)
    (folder / "styles.json").write_text(json.dumps(STYLES, ensure_ascii=False, indent=1) + "\n", "utf-8")
    with open(folder / "texts.jsonl", "w", encoding="utf-8") as out:
        for text in texts:
            valid = text.decode(errors="replace")
            line = valid if valid.encode() == text else {"hex": text.hex()}
            out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
    for style in STYLES:
        tokenizer = Tokenizer.from_str(json.dumps(assemble(style, vocabularies)))
        with open(folder / f"{style}.hashes", "w", encoding="ascii") as out:
            for text in texts:
                ids = tokenizer.encode(text.decode(errors="replace")).ids
                out.write(hashes(ids, tokenizer.decode(ids)))


if __name__ == "__main__":
    main()
