#!/usr/bin/env python3
"""Writes tests/golden/sampling/cases.json: random logits, and the probabilities that transformers'
LogitsProcessor classes leave of them, in the order in which generate() puts the classes together.

Needs the packages numpy, torch and transformers:
    make_sampling_reference.py tests/golden/sampling

Each case has
    options        those of initrt that are set
    seen           ids that have come up, with repetitions
    logits         float32, one per id
    penalized      the logits after the repetition penalty
    probabilities  of every id; 0 where a filter took it out
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
from transformers.generation import LogitsProcessorList, RepetitionPenaltyLogitsProcessor

VOCABULARY = 48

CASES = [
    {"temperature": 1.0},
    {"temperature": 0.7},
    {"temperature": 1.5, "top_k": 5},
    {"temperature": 1.5, "top_p": 0.8},
    {"temperature": 1.5, "min_p": 0.1},
    {"temperature": 0.6, "min_p": 0.1},
    {"temperature": 1.0, "repetition_penalty": 1.3},
    {"temperature": 1.0, "repetition_penalty": 0.8},
    {"temperature": 2.0, "top_k": 12, "top_p": 0.7},
    {"temperature": 2.0, "top_k": 12, "min_p": 0.3},
    {"temperature": 2.0, "top_p": 0.9, "min_p": 0.2},
    {"temperature": 1.3, "top_k": 20, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.2},
    {"temperature": 0.8, "top_k": 1},
    {"temperature": 0.8, "min_p": 1.0},
]


def processors(options):
    """What generate() itself would make of these options, in its own order."""
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=VOCABULARY, hidden_size=8, intermediate_size=8,
                    num_hidden_layers=1, num_attention_heads=1)
    )
    config = GenerationConfig(do_sample=True, **{"top_k": 0, "top_p": 1.0, **options})
    return model._get_logits_processor(config, input_ids_seq_length=1)


def main():
    rng = np.random.default_rng(7)
    cases = []
    for options in CASES:
        logits = (rng.normal(size=VOCABULARY) * 2).astype(np.float32)
        seen = [int(id) for id in rng.integers(0, VOCABULARY, 12)]
        seen += seen[:3] + [int(logits.argmax())]
        ids, scores = torch.tensor([seen]), torch.from_numpy(logits)[None]
        chain = processors(options)
        penalties = [p for p in chain if isinstance(p, RepetitionPenaltyLogitsProcessor)]
        penalized = LogitsProcessorList(penalties)(ids, scores.clone())[0]
        probabilities = torch.softmax(chain(ids, scores.clone())[0].double(), dim=-1)
        cases.append(
            {
                "options": options,
                "seen": seen,
                "logits": [float(x) for x in logits],
                "penalized": [float(x) for x in penalized],
                "probabilities": [float(x) for x in probabilities],
            }
        )
    text = ",\n".join(json.dumps(case) for case in cases)
    header = json.dumps({"transformers": version("transformers"), "torch": version("torch")})
    path = Path(sys.argv[1]) / "cases.json"
    path.write_text(f'{{"made_with": {header},\n"cases": [\n{text}\n]}}\n')


if __name__ == "__main__":
    main()
