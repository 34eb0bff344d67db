#!/usr/bin/env python3
"""Tokens per second of llama.cpp (llama-cpp-python) after a short prompt, greedy, one token a call.

    python bench/peers/llama_cpp_decode.py MODEL.gguf THREADS NEW_TOKENS [--plain]

--plain: weights stay as they are in the file. Else llama.cpp packs them anew where it has kernels for
that, which end its version 0.3.36 with a signal where those are AMX's.
"""

import pathlib
import sys
import time
from collections.abc import Iterator

import llama_cpp
import numpy as np


def keep_weights_plain() -> None:
    """Of every model that is opened after this."""
    defaults = llama_cpp.llama_cpp.llama_model_default_params

    def plain() -> llama_cpp.llama_cpp.llama_model_params:
        parameters = defaults()
        parameters.use_extra_bufts = False
        return parameters

    llama_cpp.llama_cpp.llama_model_default_params = plain


def open_model(path: pathlib.Path, threads: int, mapped: bool) -> llama_cpp.Llama:
    return llama_cpp.Llama(str(path), n_ctx=512, n_threads=threads, n_threads_batch=threads,
                           verbose=False, use_mmap=mapped)


def greedy(model: llama_cpp.Llama, prompt: list[int]) -> Iterator[int]:
    model.eval(prompt)
    while True:
        logits = llama_cpp.llama_get_logits_ith(model.ctx, -1)
        token = int(np.ctypeslib.as_array(logits, (model.n_vocab(),)).argmax())
        yield token
        model.eval([token])


def main() -> None:
    path, threads, new_tokens = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if "--plain" in sys.argv[4:]:
        keep_weights_plain()
    tokens = greedy(open_model(path, threads, False), [1, 2, 3, 4])
    next(tokens)
    begin = time.perf_counter()
    for _ in range(new_tokens):
        next(tokens)
    print(new_tokens / (time.perf_counter() - begin))


if __name__ == "__main__":
    main()
