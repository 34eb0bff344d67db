"""Families with experts, and latent attention."""

import transformers as hf

from .case import Case, ROPE, WINDOW, gqa, rope

MOE = dict(
    num_hidden_layers=3, head_dim=16, moe_intermediate_size=32, n_routed_experts=8,
    num_experts_per_tok=2, n_shared_experts=1, routed_scaling_factor=1.5, norm_topk_prob=True,
)  # fmt: skip

LATENT = dict(kv_lora_rank=24, qk_nope_head_dim=10, qk_rope_head_dim=8, v_head_dim=14)

EXPERTS = {
    # As GLM-4.6: biases, half of each head rotated, one dense layer, another that guesses tokens.
    "glm4_moe": Case(
        hf.Glm4MoeConfig,
        gqa(attention_bias=True, use_qk_norm=True, first_k_dense_replace=1,
            **rope(partial_rotary_factor=0.5)) | MOE,
        {"num_experts_per_tok": 3, "norm_topk_prob": False, "routed_scaling_factor": 1.0,
         "partial_rotary_factor": 1.0},
        old_keys=True, hub={"num_nextn_predict_layers": 1},
        unused={"model.layers.3.eh_proj.weight": [48, 96],
                "model.layers.3.self_attn.q_proj.weight": [64, 48],
                "model.layers.3.shared_head.norm.weight": [48]},
    ),
    # Experts in groups, two that every token goes through, no dense layer.
    "glm4_moe_groups": Case(
        hf.Glm4MoeConfig,
        gqa(first_k_dense_replace=0, n_group=4, topk_group=2, **rope(partial_rotary_factor=0.25))
        | MOE | {"n_shared_experts": 2},
        {"topk_group": 1, "n_group": 2},
    ),
    # As DeepSeek-V3: latents of queries too, groups, YaRN that sharpens scores.
    "deepseek_v3": Case(
        hf.DeepseekV3Config,
        gqa(q_lora_rank=20, **LATENT, n_group=4, topk_group=2, first_k_dense_replace=1,
            **rope("yarn", 500.0, factor=4.0, original_max_position_embeddings=32, beta_fast=1.5,
                   beta_slow=0.25, mscale=1.0, mscale_all_dim=1.0))
        | MOE | {"head_dim": 8, "num_key_value_heads": 4},
        {"topk_group": 1, "rope_scaling.mscale_all_dim": 0.5, "rope_scaling.factor": 8.0,
         "rope_interleave": False},
        old_keys=True, hub={"num_nextn_predict_layers": 1, "scoring_func": "sigmoid",
                            "topk_method": "noaux_tc"},
        absent="head_dim rope_interleave", unused={"model.layers.3.eh_proj.weight": [48, 96]},
    ),
    # As Moonlight: queries without latents, values wider than what is not rotated.
    "deepseek_v3_plain_queries": Case(
        hf.DeepseekV3Config,
        gqa(q_lora_rank=None, **LATENT, n_group=1, topk_group=1, first_k_dense_replace=0,
            attention_bias=True, **rope())
        | MOE | {"head_dim": 8, "num_key_value_heads": 4, "num_experts_per_tok": 3},
        {"rms_norm_eps": 0.1},
    ),
    # As Kimi K2.5: the text model of one that sees, whose type says nothing of DeepSeek.
    "kimi_k25": Case(
        hf.Kimi_K25Config,
        dict(
            text_config=dict(model_type="deepseek_v3") | gqa(
                q_lora_rank=20, **LATENT, n_group=1, topk_group=1, first_k_dense_replace=1, **rope(
                    "yarn", 500.0, factor=4.0, original_max_position_embeddings=32, beta_fast=1.0,
                    beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0))
            | MOE | {"head_dim": 8, "num_key_value_heads": 4, "n_routed_experts": 4,
                     "num_hidden_layers": 2},
            vision_config=dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                               num_attention_heads=2, patch_size=14, pos_emb_height=4,
                               pos_emb_width=4),
            projection_hidden_size=16, image_token_id=240, video_token_id=241,
            vision_start_token_id=242, vision_end_token_id=243, tie_word_embeddings=False,
        ),
        {"text_config.num_experts_per_tok": 3, "text_config.rope_scaling.factor": 8.0},
        old_keys=True, hub={"text_config.model_type": "kimi_k2"},
        absent="text_config.head_dim text_config.rope_interleave text_config.architectures",
        rename=("language_model.model.blocks.", "language_model.model.layers."),
        unread="vision_tower. mm_projector.",
    ),
    "glm4_moe_lite": Case(
        hf.Glm4MoeLiteConfig,
        gqa(q_lora_rank=20, **LATENT, **rope(theta=500.0))
        | MOE | {"num_key_value_heads": 4, "head_dim": 8},
        {"num_experts_per_tok": 3, f"{ROPE}.rope_theta": 10000.0},
    ),
    "gpt_oss": Case(
        hf.GptOssConfig,
        gqa(head_dim=16, num_local_experts=6, num_experts_per_tok=3, sliding_window=WINDOW,
            **rope("yarn", 500.0, factor=4.0, original_max_position_embeddings=32,
                   beta_fast=4.0, beta_slow=0.5, truncate=False)) | {"intermediate_size": 32},
        {"num_experts_per_tok": 2, "sliding_window": WINDOW + 1, "rope_scaling.truncate": True,
         "rope_scaling.factor": 8.0, "swiglu_limit": 0.5},
        old_keys=True,
    ),
    # As Maverick: experts in every second layer, of the text model of one that sees.
    "llama4": Case(
        hf.Llama4TextConfig,
        gqa(head_dim=16, num_local_experts=4, num_experts_per_tok=1, intermediate_size_mlp=80,
            interleave_moe_layer_step=2, attention_chunk_size=WINDOW, floor_scale=16,
            attn_scale=0.5, **rope("llama3", 500.0, factor=4.0, low_freq_factor=1.0,
                                   high_freq_factor=4.0, original_max_position_embeddings=16))
        | {"num_hidden_layers": 4, "intermediate_size": 32},
        {"text_config.attention_chunk_size": WINDOW + 1, "text_config.floor_scale": 8,
         "text_config.attn_scale": 0.1, "text_config.num_experts_per_tok": 2,
         "text_config.no_rope_layers": [1, 1, 1, 1], "text_config.use_qk_norm": False},
        absent="layer_types moe_layers", rename=("", "language_model."), text_of="llama4",
        unused={"vision_model.class_embedding": [16],
                "multi_modal_projector.linear_1.weight": [48, 16]},
    ),
    # As transformers saves it: other layers, of which none sees parts of the sequence alone.
    "llama4_text": Case(
        hf.Llama4TextConfig,
        gqa(num_local_experts=4, num_experts_per_tok=2, intermediate_size_mlp=40,
            moe_layers=[0, 2], no_rope_layers=[0, 1, 1], attention_chunk_size=None,
            attn_temperature_tuning=False, use_qk_norm=False, tie_word_embeddings=True,
            **rope(theta=5e5)) | {"intermediate_size": 32},
        {"num_experts_per_tok": 1, "no_rope_layers": [1, 1, 1]},
    ),
    "minimax_m2": Case(
        hf.MiniMaxM2Config,
        gqa(head_dim=16, num_local_experts=8, num_experts_per_tok=2,
            **rope(partial_rotary_factor=0.5)) | {"intermediate_size": 32},
        {"num_experts_per_tok": 3, "rotary_dim": 16}, old_keys=True,
        hub={"rotary_dim": 8, "use_qk_norm": True, "scoring_func": "sigmoid"},
        absent="partial_rotary_factor",
    ),
}  # fmt: skip
