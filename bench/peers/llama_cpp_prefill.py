#!/usr/bin/env python3
"""Tokens per second that llama.cpp (llama-cpp-python) prefills: the median of some prompts.

    python bench/peers/llama_cpp_prefill.py MODEL.gguf THREADS TOKENS
"""

import statistics
import sys
import time

import llama_cpp


def main() -> None:
    path, threads, tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    model = llama_cpp.Llama(path, n_ctx=tokens + 8, n_batch=tokens, n_ubatch=512,
                            n_threads=threads, n_threads_batch=threads, verbose=False)
    seconds = []
    for _ in range(4):
        model.reset()
        begin = time.perf_counter()
        model.eval([1 + i % 200 for i in range(tokens)])
        seconds.append(time.perf_counter() - begin)
    print(tokens / statistics.median(seconds[1:]))


if __name__ == "__main__":
    main()
