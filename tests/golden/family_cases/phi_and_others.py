"""Phi, OLMo, SmolLM3, Granite and StarCoder 2."""

import transformers as hf

from .case import Case, LONG, NO_SCALING, ROPE, SHORT, WINDOW, both_kinds, gqa, rope, sizes

PHI_AND_OTHERS = {
    "phi": Case(
        hf.PhiConfig,
        sizes(num_attention_heads=3, **rope(partial_rotary_factor=0.5)) | {"intermediate_size": 192},
        {"partial_rotary_factor": 0.25, "hidden_act": "relu"}, old_keys=True,
        hub={"num_key_value_heads": None},
    ),
    "phi3": Case(hf.Phi3Config, gqa(sliding_window=WINDOW, **rope()),
                 {"sliding_window": WINDOW + 1, "rope_theta": 500.0}, old_keys=True),
    "phi3_longrope": Case(
        hf.Phi3Config,
        gqa(original_max_position_embeddings=32,
            **rope("longrope", short_factor=SHORT, long_factor=LONG)),
        {"rope_scaling.long_factor": SHORT, "original_max_position_embeddings": 64,
         "max_position_embeddings": 64},
        old_keys=True, absent="partial_rotary_factor rope_scaling.original_max_position_embeddings",
    ),
    # As Phi-4-mini: a quarter of each head is not rotated.
    "phi3_longrope_partial": Case(
        hf.Phi3Config,
        gqa(num_attention_heads=3, original_max_position_embeddings=32, tie_word_embeddings=True,
            **rope("longrope", partial_rotary_factor=0.75, short_factor=SHORT, long_factor=LONG))
        | {"num_key_value_heads": 1},
        {f"{ROPE}.long_factor": SHORT},
    ),
    "olmo2": Case(hf.Olmo2Config, gqa(**rope(theta=5e5)),
                  {"rope_theta": 500.0, "rms_norm_eps": 0.1}, old_keys=True),
    # As published: windows in three of four layers, YaRN in the fourth alone.
    "olmo3": Case(
        hf.Olmo3Config,
        gqa(sliding_window=WINDOW, **both_kinds(
            5e5, rope_type="yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=1.5,
            beta_slow=0.25, attention_factor=1.1386294361119891)) | {"num_hidden_layers": 4},
        {"sliding_window": WINDOW + 1, "rope_scaling.factor": 8.0, "rope_theta": 500.0,
         "rope_scaling.attention_factor": 1.0, **NO_SCALING},
        old_keys=True, absent="rope_local_base_freq",
    ),
    "smollm3": Case(
        hf.SmolLM3Config,
        gqa(no_rope_layers=[1, 0, 1], tie_word_embeddings=True, **rope(theta=2e6)),
        {"no_rope_layers": [1, 1, 1]}, old_keys=True,
    ),
    # As published: each fourth layer without rope.
    "smollm3_four_layers": Case(
        hf.SmolLM3Config, gqa(tie_word_embeddings=True, **rope()) | {"num_hidden_layers": 4},
        {"no_rope_layers": [1, 1, 1, 1]}, old_keys=True,
    ),
    "granite": Case(
        hf.GraniteConfig,
        gqa(embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.5,
            attention_multiplier=0.2, tie_word_embeddings=True, **rope()),
        {"embedding_multiplier": 1.0, "logits_scaling": 1.0, "residual_multiplier": 1.0,
         "attention_multiplier": 1.0},
        old_keys=True,
    ),
    "starcoder2": Case(
        hf.Starcoder2Config, gqa(sliding_window=WINDOW, **rope()),
        {"sliding_window": WINDOW + 1, "hidden_act": "relu"}, old_keys=True,
    ),
}  # fmt: skip
