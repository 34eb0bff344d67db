"""Greedy decoding in transformers on the CPU, timed without prefill: a peer of initrt's decode.

A manual loop over the model's forward with its KV cache, which leaves out the sampling machinery
of `generate()`: the fastest way transformers offers without compiling.
"""

import pathlib
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, StaticCache


def greedy(module: Callable, prompt: torch.Tensor, forward: Callable | None = None,
           cache=None) -> Iterator[torch.Tensor]:
    """A column of ids for each step; `forward`, where given, is what runs after the prompt.

    A loop over the module's own forward: the sampling machinery of generate() is left out.
    """
    out = module(prompt, past_key_values=cache, use_cache=True)
    while True:
        token = out.logits[:, -1].argmax(-1, keepdim=True)
        yield token
        out = (forward or module)(token, past_key_values=out.past_key_values, use_cache=True)


class TransformersDecode:
    """A model in memory, ready to be timed again and again."""

    def __init__(self, directory: pathlib.Path, dtype: torch.dtype, threads: int,
                 compiled: bool = False):
        torch.set_num_threads(threads)
        self.tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        self.model = AutoModelForCausalLM.from_pretrained(
            directory, dtype=dtype, local_files_only=True).eval()
        self.forward = torch.compile(self.model) if compiled else self.model
        self.compiled = compiled

    def new_cache(self, positions: int):
        """A cache of fixed shape where the graph is compiled, else the growing default."""
        if not self.compiled:
            return None
        return StaticCache(config=self.model.config, max_cache_len=positions)

    @torch.inference_mode()
    def decode(self, prompt: str, new_tokens: int) -> tuple[list[int], list[float]]:
        """Greedy ids, and the seconds of each step after the first token (which is prefill's)."""
        prompt_ids = self.tokenizer(prompt).input_ids
        cache = self.new_cache(len(prompt_ids) + new_tokens)
        tokens = greedy(self.model, torch.tensor([prompt_ids]), self.forward, cache)
        new_ids = [int(next(tokens))]
        seconds = []
        for _ in range(new_tokens - 1):
            begin = time.perf_counter()
            new_ids.append(int(next(tokens)))
            seconds.append(time.perf_counter() - begin)
        return new_ids, seconds

    def tokens_per_second(self, prompt: str, new_tokens: int) -> float:
        """Steady state: one over the median step, so that a stray pause does not count."""
        _, seconds = self.decode(prompt, new_tokens)
        return 1 / statistics.median(seconds)
