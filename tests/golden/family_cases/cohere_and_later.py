"""Cohere and dense families since."""

import transformers as hf

from .case import Case, NO_SCALING, ROPE, WINDOW, gqa, rope

COHERE_AND_LATER = {
    "cohere": Case(
        hf.CohereConfig, gqa(logit_scale=0.25, **rope(theta=1e4)),
        {"logit_scale": 0.5, "rope_theta": 500.0}, old_keys=True, absent="tie_word_embeddings",
        hub={"model_max_length": 256},
    ),
    # As Command R+: the weights of norms are matrices.
    "cohere_qk_norm": Case(
        hf.CohereConfig, gqa(logit_scale=0.25, use_qk_norm=True, attention_bias=True, **rope()),
        {"layer_norm_eps": 0.1},
    ),
    "cohere2": Case(
        hf.Cohere2Config,
        gqa(logit_scale=0.25, sliding_window=WINDOW, **rope(theta=5e4)) | {"num_hidden_layers": 4},
        {"sliding_window": WINDOW + 1, "rope_theta": 500.0, "sliding_window_pattern": 2},
        old_keys=True, absent="tie_word_embeddings layer_types",
        hub={"sliding_window_pattern": 4, "rotary_pct": 1.0},
    ),
    "ministral3": Case(
        hf.Ministral3Config,
        gqa(head_dim=16, **rope(
            "yarn", 1e4, factor=4.0, original_max_position_embeddings=16, beta_fast=32.0,
            beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.5)),
        {f"{ROPE}.llama_4_scaling_beta": 0.1, f"{ROPE}.factor": 8.0, f"{ROPE}.mscale_all_dim": 0.5},
    ),
    "seed_oss": Case(
        hf.SeedOssConfig, gqa(head_dim=16, **rope(theta=1e7)), {"rope_theta": 500.0}, old_keys=True,
    ),
    "seed_oss_biases": Case(
        hf.SeedOssConfig,
        gqa(head_dim=12, attention_bias=False, attention_out_bias=True, mlp_bias=True, **rope()),
        {f"{ROPE}.rope_theta": 500.0},
    ),
    # As the larger one: windows with rope, and layers without either.
    "exaone4": Case(
        hf.Exaone4Config,
        gqa(sliding_window=WINDOW, **rope(theta=1e6)) | {"num_hidden_layers": 4},
        {"sliding_window": WINDOW + 1, "rope_theta": 500.0}, old_keys=True,
        hub={"sliding_window_pattern": "LLLG"},
    ),
    # As the smaller one.
    "exaone4_without_windows": Case(
        hf.Exaone4Config,
        gqa(sliding_window=None, layer_types=3 * ["full_attention"], tie_word_embeddings=True,
            **rope("llama3", 500.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=16)),
        NO_SCALING, old_keys=True,
    ),
    "hunyuan_v1_dense": Case(
        hf.HunYuanDenseV1Config,
        gqa(head_dim=16, tie_word_embeddings=True,
            **rope("dynamic", 1e4, factor=1.0, alpha=1000.0)) | {"max_position_embeddings": 32768},
        {"rope_scaling.alpha": 10.0, "rope_theta": 500.0}, old_keys=True,
    ),
    "ernie4_5": Case(
        hf.Ernie4_5Config, gqa(head_dim=16, **rope(theta=5e5)), {"rope_theta": 500.0},
        old_keys=True, absent="tie_word_embeddings",
    ),
}  # fmt: skip
