#!/usr/bin/env python3
"""Tokens per second of llama.cpp (llama-cpp-python) after a short prompt, greedy, one token a call.

    python bench/peers/llama_cpp_decode.py MODEL.gguf THREADS NEW_TOKENS
"""

import sys
import time

import llama_cpp
import numpy as np


def main() -> None:
    path, threads, new_tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    model = llama_cpp.Llama(path, n_ctx=512, n_threads=threads, n_threads_batch=threads,
                            verbose=False, use_mmap=False)
    model.eval([1, 2, 3, 4])
    vocabulary = model.n_vocab()

    def best() -> int:
        logits = llama_cpp.llama_get_logits_ith(model.ctx, -1)
        return int(np.ctypeslib.as_array(logits, (vocabulary,)).argmax())

    token = best()
    begin = time.perf_counter()
    for _ in range(new_tokens):
        model.eval([token])
        token = best()
    print(new_tokens / (time.perf_counter() - begin))


if __name__ == "__main__":
    main()
