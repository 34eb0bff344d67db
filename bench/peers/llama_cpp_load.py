#!/usr/bin/env python3
"""llama.cpp (llama-cpp-python), from model.gguf.

read: weights are read into memory. mmap, its default: they are pages of the mapped file, and all
there once a token has been computed with them.

    python bench/peers/llama_cpp_load.py MODEL read|mmap
"""

import time

import peer
from llama_cpp_decode import greedy, open_model


def main() -> None:
    arguments = peer.arguments_of(__doc__, ("read", "mmap"))
    mapped = arguments.way == "mmap"
    ids = peer.prompt_ids(arguments.model)
    begin = time.perf_counter()
    model = open_model(arguments.model / "model.gguf", arguments.threads, mapped)
    if mapped:
        model.eval(ids[:1])
        model.reset()
    figures = {"load_seconds": time.perf_counter() - begin, "loaded_at": time.monotonic(),
               "peak_bytes": peer.peak_bytes()}
    figures |= peer.decoded(greedy(model, ids), arguments.new_tokens)
    figures.pop("first_token", None)  # noise: rotary rows are in the checkpoint's order, not GGUF's
    peer.print_figures(figures)


if __name__ == "__main__":
    main()
