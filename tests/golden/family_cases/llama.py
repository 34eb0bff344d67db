"""LLaMA, Mistral and Qwen, whose choices most other families have."""

import transformers as hf

from .case import Case, DEFAULT_ROPE, NO_SCALING, ROPE, WINDOW, gqa, per_layer, rope, sizes

LLAMA = {
    "llama": Case(
        hf.LlamaConfig, sizes(num_key_value_heads=4, **rope()), {"rope_theta": 500.0},
        old_keys=True,
        absent="num_key_value_heads head_dim rope_theta rope_scaling attention_bias mlp_bias",
        unused=per_layer(3, "model.layers.{}.self_attn.rotary_emb.inv_freq", [6]),
    ),
    "llama_gqa_tied": Case(
        hf.LlamaConfig, gqa(head_dim=16, tie_word_embeddings=True, vocabulary=259, **rope()),
        {f"{ROPE}.rope_theta": 500.0},
    ),
    "llama3_rope": Case(
        hf.LlamaConfig,
        gqa(**rope("llama3", 500.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=16)),
        {"rope_scaling.factor": 8.0, "rope_scaling.high_freq_factor": 2.0,
         "rope_scaling.low_freq_factor": 0.5, **NO_SCALING},
        old_keys=True,
    ),
    "llama_linear": Case(hf.LlamaConfig, gqa(**rope("linear", factor=4.0)), NO_SCALING,
                         old_keys=True),
    "llama_dynamic": Case(
        hf.LlamaConfig, gqa(**rope("dynamic", 500.0, factor=2.0)) | {"max_position_embeddings": 32},
        {f"{ROPE}.factor": 4.0, "max_position_embeddings": 40, **DEFAULT_ROPE},
    ),
    "llama_yarn": Case(
        hf.LlamaConfig,
        gqa(**rope("yarn", 500.0, factor=4.0, original_max_position_embeddings=32, beta_fast=1.5,
                   beta_slow=0.25)),
        {f"{ROPE}.attention_factor": 1.0, f"{ROPE}.beta_fast": 8.0, f"{ROPE}.beta_slow": 1.0,
         f"{ROPE}.factor": 8.0, **DEFAULT_ROPE},
    ),
}  # fmt: skip

MISTRAL_AND_QWEN = {
    "mistral": Case(hf.MistralConfig, gqa(sliding_window=WINDOW, **rope()),
                    {"sliding_window": WINDOW + 1}, old_keys=True),
    "mixtral": Case(
        hf.MixtralConfig,
        gqa(num_local_experts=4, num_experts_per_tok=2, sliding_window=None, **rope(theta=1e6)),
        {"num_experts_per_tok": 1}, old_keys=True,
    ),
    "qwen2": Case(hf.Qwen2Config, gqa(tie_word_embeddings=True, **rope(theta=1e6)),
                  {"rope_theta": 500.0}, old_keys=True),
    "qwen2_window": Case(
        hf.Qwen2Config,
        gqa(use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1, **rope()),
        {"sliding_window": WINDOW + 1, "max_window_layers": 2, "use_sliding_window": False},
        old_keys=True, absent="layer_types",
    ),
    "qwen3": Case(hf.Qwen3Config, gqa(head_dim=16, **rope(theta=1e6)),
                  {f"{ROPE}.rope_theta": 500.0, "rms_norm_eps": 0.1}),
    "qwen3_moe": Case(
        hf.Qwen3MoeConfig,
        gqa(head_dim=16, num_experts=8, num_experts_per_tok=2, moe_intermediate_size=32,
            norm_topk_prob=True, mlp_only_layers=[1], decoder_sparse_step=1, **rope(theta=1e6)),
        {"num_experts_per_tok": 3, "norm_topk_prob": False}, old_keys=True,
    ),
    # As published: no layer without experts.
    "qwen3_moe_all_layers": Case(
        hf.Qwen3MoeConfig,
        gqa(head_dim=16, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32,
            norm_topk_prob=True, mlp_only_layers=[], decoder_sparse_step=1, **rope(theta=1e6)),
        {"num_experts_per_tok": 3}, old_keys=True,
    ),
}  # fmt: skip
