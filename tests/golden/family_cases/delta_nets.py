"""Families with gated delta nets."""

import transformers as hf

from .case import Case, ROPE, gqa, rope


def delta_net(key_heads, value_heads, key_size, value_size, taps=4):
    """Layers that Qwen3-Next calls linear attention."""
    return dict(
        linear_num_key_heads=key_heads, linear_num_value_heads=value_heads,
        linear_key_head_dim=key_size, linear_value_head_dim=value_size, linear_conv_kernel_dim=taps,
    )  # fmt: skip


SHARED = dict(
    num_experts=8, num_experts_per_tok=2, moe_intermediate_size=32,
    shared_expert_intermediate_size=40,
)  # fmt: skip
MROPE = dict(partial_rotary_factor=0.25, mrope_interleaved=True, mrope_section=[1, 1, 0])
FURTHER = {"mtp.fc.weight": [48, 96], "mtp.layers.0.self_attn.q_proj.weight": [128, 48],
           "mtp.norm.weight": [48]}  # fmt: skip
VISION = {"model.visual.patch_embed.proj.bias": [16],
          "model.visual.blocks.0.attn.qkv.weight": [48, 16]}  # fmt: skip

WITH_DELTA_NETS = {
    # As published: three of four layers with a gated delta net, experts beside a shared one.
    "qwen3_next": Case(
        hf.Qwen3NextConfig,
        gqa(head_dim=16, norm_topk_prob=True, mlp_only_layers=[1], decoder_sparse_step=1,
            **delta_net(2, 4, 8, 12), **SHARED, **rope(theta=1e4, partial_rotary_factor=0.25))
        | {"num_hidden_layers": 4},
        {"num_experts_per_tok": 3, "norm_topk_prob": False, "partial_rotary_factor": 0.5,
         "rope_theta": 10.0},
        old_keys=True, hub={"full_attention_interval": 4}, absent="layer_types", unused=FURTHER,
    ),
    # Experts in all layers, as published, and heads of one size: what llama.cpp has a place for.
    "qwen3_next_all_experts": Case(
        hf.Qwen3NextConfig,
        gqa(head_dim=16, norm_topk_prob=True, mlp_only_layers=[], decoder_sparse_step=1,
            **delta_net(2, 4, 8, 8), **SHARED | {"num_experts": 4},
            **rope(theta=1e4, partial_rotary_factor=0.25)) | {"num_hidden_layers": 4},
        {"num_experts_per_tok": 3}, old_keys=True, hub={"full_attention_interval": 4},
        absent="layer_types",
    ),
    # As transformers 5 saves it: layers in another order, a head of keys for each of values.
    "qwen3_next_layer_types": Case(
        hf.Qwen3NextConfig,
        gqa(head_dim=8, layer_types=["full_attention", "linear_attention", "linear_attention"],
            attention_bias=True, tie_word_embeddings=True, mlp_only_layers=[],
            **delta_net(3, 3, 10, 8, taps=3), **SHARED | {"num_experts": 4},
            **rope(theta=1e4, partial_rotary_factor=0.5)),
        {f"{ROPE}.partial_rotary_factor": 0.25},
    ),
    "qwen3_5": Case(
        hf.Qwen3_5TextConfig,
        gqa(head_dim=16, **delta_net(2, 4, 8, 12), **rope(theta=1e4, **MROPE))
        | {"num_hidden_layers": 4},
        {f"text_config.{ROPE}.partial_rotary_factor": 0.5, f"text_config.{ROPE}.rope_theta": 10.0},
        hub={"full_attention_interval": 4, "attn_output_gate": True}, absent="layer_types",
        rename=("model.", "model.language_model."), unused=FURTHER | VISION, text_of="qwen3_5",
    ),
    "qwen3_5_text": Case(
        hf.Qwen3_5TextConfig,
        gqa(head_dim=16, tie_word_embeddings=True, **delta_net(1, 3, 16, 20),
            layer_types=["linear_attention", "full_attention", "linear_attention"],
            **rope(theta=1e4, **MROPE)),
        {f"{ROPE}.partial_rotary_factor": 0.5},
    ),
    "qwen3_5_moe": Case(
        hf.Qwen3_5MoeTextConfig,
        {key: value for key, value in gqa(
            head_dim=16, **delta_net(2, 4, 8, 12), **SHARED | {"num_experts": 4},
            full_attention_interval=2, **rope(theta=1e4, **MROPE)).items()
         if key != "intermediate_size"} | {"num_hidden_layers": 2},
        {"text_config.num_experts_per_tok": 3},
        hub={"full_attention_interval": 2}, absent="layer_types",
        rename=("model.", "model.language_model."), unused=FURTHER | VISION, text_of="qwen3_5_moe",
        stacked=True,
    ),
    # Heads of one size, three of values for each of keys: what llama.cpp has a place for, and puts
    # in another order.
    "qwen3_5_one_size": Case(
        hf.Qwen3_5TextConfig,
        gqa(head_dim=16, layer_types=["linear_attention", "full_attention", "linear_attention"],
            tie_word_embeddings=True, **delta_net(2, 6, 8, 8), **rope(theta=1e4, **MROPE)),
        {f"{ROPE}.partial_rotary_factor": 0.5},
    ),
    "qwen3_5_moe_one_size": Case(
        hf.Qwen3_5MoeTextConfig,
        {key: value for key, value in gqa(
            head_dim=16, **delta_net(3, 6, 8, 8), **SHARED | {"num_experts": 4},
            full_attention_interval=2, **rope(theta=1e4, **MROPE)).items()
         if key != "intermediate_size"} | {"num_hidden_layers": 2},
        {"text_config.num_experts_per_tok": 3},
        hub={"full_attention_interval": 2}, absent="layer_types",
        rename=("model.", "model.language_model."), text_of="qwen3_5_moe", stacked=True,
    ),
}  # fmt: skip
