"""Greedy decoding in transformers on the CPU, timed without prefill: a peer of initrt's decode.

A manual loop over the model's forward with its KV cache, which leaves out the sampling machinery
of `generate()`: the fastest way transformers offers without compiling.
"""

import pathlib
import statistics
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, StaticCache


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
        output = self.model(torch.tensor([prompt_ids]), past_key_values=cache, use_cache=True)
        new_ids = [int(output.logits[0, -1].argmax())]
        seconds = []
        for _ in range(new_tokens - 1):
            begin = time.perf_counter()
            output = self.forward(torch.tensor([[new_ids[-1]]]),
                                  past_key_values=output.past_key_values, use_cache=True)
            new_ids.append(int(output.logits[0, -1].argmax()))
            seconds.append(time.perf_counter() - begin)
        return new_ids, seconds

    def tokens_per_second(self, prompt: str, new_tokens: int) -> float:
        """Steady state: one over the median step, so that a stray pause does not count."""
        _, seconds = self.decode(prompt, new_tokens)
        return 1 / statistics.median(seconds)
