"""Compares logits that `initrt score --logits` wrote (float32 .npy): exits with 1 where they differ.

    same_logits.py A.npy B.npy           the same bytes
    same_logits.py A.npy B.npy 1e-3      no two numbers further apart
"""

import array
import sys

HEADER_BYTES = 128


def logits(path: str) -> array.array:
    with open(path, "rb") as file:
        return array.array("f", file.read()[HEADER_BYTES:])


a, b = logits(sys.argv[1]), logits(sys.argv[2])
most = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
apart = max((abs(x - y) for x, y in zip(a, b)), default=0.0)
print(f"{len(a)} and {len(b)} logits, at most {apart:g} apart")
same = len(a) == len(b) > 0 and (apart <= most if most > 0 else a.tobytes() == b.tobytes())
sys.exit(0 if same else 1)
