"""What the peers of compare.py have in common: arguments, clocks, and the one line that each prints.

    X_load.py MODEL [WAY] --threads N --new-tokens N [--check]

loads MODEL (a directory; its tokenizer.json makes the prompt's ids), decodes greedily, and prints a
JSON object with

    load_seconds       from the call until all weights are in memory; imports come before
    returned_seconds, returned_peak_bytes    the same until the call returned, if that is sooner:
                       weights may be pages of a mapped file that nobody has read
    loaded_at, first_token_at    by time.monotonic(), which all processes of a machine share
    peak_bytes         the most that this process had resident until then (VmHWM); the largest rank's
    first_token        its id
    tokens_per_second  one over the median step after the first token, so that a pause does not count
    checksum           with --check: the sum of all weights' bits, as int16

For what loads and cannot generate, --new-tokens 0.
"""

import argparse
import json
import pathlib
import statistics
import time
from collections.abc import Iterator

PROMPT = "Hello, my name is"


def arguments_of(description: str, ways: tuple[str, ...] = ()) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    if ways:
        parser.add_argument("way", choices=ways)
    parser.add_argument("--threads", type=int, default=1, help="that compute, of each rank")
    parser.add_argument("--new-tokens", type=int, default=1)
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


def prompt_ids(model: pathlib.Path) -> list[int]:
    from tokenizers import Tokenizer
    return Tokenizer.from_file(str(model / "tokenizer.json")).encode(PROMPT).ids


def peak_bytes() -> int:
    status = pathlib.Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines()
                if line.startswith("VmHWM"))


def decoded(tokens: Iterator[int], new_tokens: int) -> dict:
    """What there is to say of a generator of greedy ids."""
    if new_tokens == 0:
        return {}
    figures: dict = {"first_token": next(tokens), "first_token_at": time.monotonic()}
    seconds = []
    for _ in range(new_tokens - 1):
        begin = time.perf_counter()
        next(tokens)
        seconds.append(time.perf_counter() - begin)
    if seconds:
        figures["tokens_per_second"] = 1 / statistics.median(seconds)
    return figures


def print_figures(figures: dict) -> None:
    print(json.dumps(figures), flush=True)
