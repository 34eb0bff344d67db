#!/usr/bin/env python3
"""What bf16 costs in quality, beside what it costs transformers: same weights, same text.

Scores the first tokens of a text (512 of tests/golden/smollm2/passage.txt) four times: with
transformers in float32 and in bfloat16 (eager attention, the GGUF file dequantized by its own
loader), and with initrt in 32-true and in bf16-true. Prints how far each of the others is from
transformers' float32: KL(float32 || other) in nats, mean over positions, and the share of positions
with the same arg-max. Needs bench/requirements.txt.

    python bench/bf16_quality.py models/SmolLM2-135M-Instruct.Q4_1.gguf --initrt build/release/launch/initrt
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import tempfile

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

PASSAGE = pathlib.Path(__file__).parent.parent / "tests/golden/smollm2/passage.txt"


def source(model: pathlib.Path) -> dict:
    return {"pretrained_model_name_or_path": model.parent, "gguf_file": model.name,
            "local_files_only": True}


@torch.inference_mode()
def transformers_logits(model: pathlib.Path, dtype: torch.dtype, ids: list[int]) -> torch.Tensor:
    """[tokens, vocabulary] in float32."""
    loaded = AutoModelForCausalLM.from_pretrained(
        **source(model), dtype=dtype, attn_implementation="eager").eval()
    return loaded(torch.tensor([ids])).logits[0].float()


def initrt_logits(initrt: str, model: pathlib.Path, precision: str, ids: list[int]) -> torch.Tensor:
    """[tokens, vocabulary] in float32."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "logits.npy"
        subprocess.run(
            [initrt, "score", "--set", f"model={model}", "--set", f"precision={precision}",
             "--tokens", ",".join(map(str, ids)), "--logits", str(path), "--progress", "off"],
            check=True, capture_output=True)
        return torch.from_numpy(np.load(path))


def compare(reference: torch.Tensor, other: torch.Tensor) -> dict:
    log_p, log_q = (torch.log_softmax(logits.double(), -1) for logits in (reference, other))
    return {
        "mean_kl": float((log_p.exp() * (log_p - log_q)).sum(-1).mean()),
        "argmax_agreement": float((reference.argmax(-1) == other.argmax(-1)).double().mean()),
        "largest_difference": float((reference - other).abs().max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path, help="a GGUF file")
    parser.add_argument("--initrt", default="build/release/launch/initrt")
    parser.add_argument("--text", type=pathlib.Path, default=PASSAGE)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(**source(arguments.model))
    text = arguments.text.read_text(encoding="utf-8")
    ids = tokenizer(text).input_ids[:arguments.tokens]
    if len(ids) < arguments.tokens:
        parser.error(f"{arguments.text}: {len(ids)} tokens, fewer than {arguments.tokens}")
    reference = transformers_logits(arguments.model, torch.float32, ids)
    own = {precision: compare(reference, initrt_logits(arguments.initrt, arguments.model,
                                                       precision, ids))
           for precision in ("32-true", "bf16-true")}
    results = {
        "initrt 32-true": own["32-true"],
        "initrt bf16-true": own["bf16-true"],
        "transformers bfloat16": compare(
            reference, transformers_logits(arguments.model, torch.bfloat16, ids)),
    }
    print(f"{len(ids)} tokens of {arguments.text.name}, from transformers' float32:")
    for name, of in results.items():
        print(f"{name:>22}: mean KL {of['mean_kl']:.3g}, arg-max the same at "
              f"{of['argmax_agreement']:.1%}, logits at most {of['largest_difference']:.3g} apart")
    if arguments.out:
        arguments.out.write_text(json.dumps({
            "machine": platform.platform(), "threads": len(os.sched_getaffinity(0)),
            "model": arguments.model.name, "text": arguments.text.name, "tokens": len(ids),
            "torch": torch.__version__, "transformers": transformers.__version__,
            "from_transformers_float32": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
