"""Gemma."""

import transformers as hf

from .case import Case, ROPE, VOCABULARY, WINDOW, gqa, rope, sizes

GEMMA3_TEXT = gqa(
    head_dim=16, num_hidden_layers=4, query_pre_attn_scalar=24, sliding_window=WINDOW,
    layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
    tie_word_embeddings=True,
    rope_parameters={
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
        "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
    },
)  # fmt: skip
LOCAL, GLOBAL = f"{ROPE}.sliding_attention", f"{ROPE}.full_attention"

GEMMA = {
    "gemma": Case(
        hf.GemmaConfig, sizes(num_key_value_heads=1, head_dim=16, **rope()),
        {"rope_theta": 500.0}, old_keys=True, absent="tie_word_embeddings",
        hub={"hidden_act": "gelu"},  # and means gelu_pytorch_tanh
    ),
    "gemma2": Case(
        hf.Gemma2Config,
        gqa(head_dim=16, query_pre_attn_scalar=24, sliding_window=WINDOW,
            attn_logit_softcapping=2.0, final_logit_softcapping=3.0, **rope()),
        {"attn_logit_softcapping": None, "final_logit_softcapping": None,
         "query_pre_attn_scalar": 16, "sliding_window": WINDOW + 1},
        old_keys=True,
        # Published before layer_types: every second layer is known to see all.
        hub={"hidden_act": "gelu_pytorch_tanh"}, absent="layer_types tie_word_embeddings",
    ),
    "gemma3": Case(
        hf.Gemma3TextConfig, GEMMA3_TEXT,
        {"sliding_window": WINDOW + 1, "query_pre_attn_scalar": 16, f"{LOCAL}.rope_theta": 1e4,
         f"{GLOBAL}.rope_theta": 500.0, f"{GLOBAL}.rope_type": "default"},
    ),
    # As published: windows in five of six layers, and attention scaled by the heads' size.
    "gemma3_six_layers": Case(
        hf.Gemma3TextConfig,
        {key: value for key, value in GEMMA3_TEXT.items() if key != "layer_types"}
        | {"num_hidden_layers": 7, "query_pre_attn_scalar": 16},
        {f"{LOCAL}.rope_theta": 1e4, f"{GLOBAL}.rope_type": "default"},
    ),
    "gemma3_conditional": Case(
        hf.Gemma3Config,
        dict(
            text_config=GEMMA3_TEXT | {"layer_types": None, "num_hidden_layers": 3,
                                       "sliding_window_pattern": 2},
            vision_config=dict(model_type="siglip_vision_model", hidden_size=16,
                               intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                               image_size=28, patch_size=14, vision_use_head=False),
            mm_tokens_per_image=4, boi_token_index=240, eoi_token_index=241, image_token_index=242,
        ),
        {"text_config.rope_scaling": None, "text_config.rope_local_base_freq": 1e4,
         "text_config.rope_theta": 500.0, "text_config.sliding_window_pattern": 3},
        old_keys=True, hub={"text_config.sliding_window_pattern": 2},
        absent="tie_word_embeddings text_config.layer_types text_config._sliding_window_pattern "
               "text_config.tie_word_embeddings",
        rename=("vision_tower.", "vision_tower.vision_model."),
        unread="vision_tower. multi_modal_projector.",
    ),
}  # fmt: skip

GEMMA4 = gqa(
    head_dim=12, global_head_dim=16, sliding_window=WINDOW, tie_word_embeddings=True,
    hidden_size_per_layer_input=0,
    rope_parameters={
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
        "full_attention": {"rope_type": "proportional", "rope_theta": 1e3,
                           "partial_rotary_factor": 0.5},
    },
)  # fmt: skip
SLIDING, FULL = "sliding_attention", "full_attention"

LATER_GEMMA = {
    # As 31B: layers that see all have one KV head, whose values are made of what its keys are.
    "gemma4": Case(
        hf.Gemma4TextConfig,
        GEMMA4 | dict(
            num_hidden_layers=4, layer_types=[SLIDING, FULL, SLIDING, FULL], attention_k_eq_v=True,
            num_global_key_value_heads=1, final_logit_softcapping=3.0),
        {"sliding_window": WINDOW + 1, "final_logit_softcapping": None,
         f"{LOCAL}.rope_theta": 1e4, f"{GLOBAL}.rope_theta": 500.0,
         f"{GLOBAL}.partial_rotary_factor": 1.0},
        hub={"global_head_dim": 16, "num_global_key_value_heads": 1}, absent="per_layer_config",
    ),
    # As 26B-A4B: experts beside each feed-forward, of the text model of one that sees.
    "gemma4_experts": Case(
        hf.Gemma4TextConfig,
        GEMMA4 | dict(
            layer_types=[SLIDING, SLIDING, FULL], enable_moe_block=True, num_experts=4,
            top_k_experts=2, moe_intermediate_size=32, pad_token_id=0),
        {"text_config.top_k_experts": 1},
        rename=("model.", "model.language_model."), text_of="gemma4",
        unused={"model.vision_tower.patch_embedder.position_embedding_table": [2, 4, 16],
                "model.embed_vision.embedding_projection.weight": [48, 16]},
    ),
    # As E2B: a row of a second table for each layer, and keys that the last layers share.
    "gemma4_layer_inputs": Case(
        hf.Gemma4TextConfig,
        GEMMA4 | dict(
            num_hidden_layers=5, layer_types=[SLIDING, FULL, SLIDING, SLIDING, FULL],
            hidden_size_per_layer_input=8, vocab_size_per_layer_input=VOCABULARY,
            num_kv_shared_layers=2, use_double_wide_mlp=True, intermediate_size=40),
        {"sliding_window": WINDOW + 1},
        unused={"model.layers.3.self_attn.k_proj.weight": [24, 48],
                "model.layers.4.self_attn.k_norm.weight": [16]},
    ),
}  # fmt: skip
