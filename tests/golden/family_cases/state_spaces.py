"""Families with state spaces."""

import transformers as hf

from .case import Case, gqa, rope

GRANITE = dict(embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.5,
               attention_multiplier=0.2)  # fmt: skip
NO_GRANITE = dict.fromkeys(GRANITE, 1.0)


def granite_mamba(groups, heads, head_size, state, **others):
    """Granite 4's state space layers: as many elements as the hidden size times mamba_expand."""
    return dict(
        mamba_n_groups=groups, mamba_n_heads=heads, mamba_d_head=head_size, mamba_d_state=state,
        mamba_expand=heads * head_size // 48, mamba_chunk_size=16,
    ) | others  # fmt: skip


def nemotron(pattern, groups, heads, head_size, state, **others):
    """Layers of one kind each, as the letters of its published configs say."""
    return dict(
        n_groups=groups, mamba_num_heads=heads, mamba_head_dim=head_size, ssm_state_size=state,
        chunk_size=16, layers_block_type=hf.NemotronHConfig._pattern_to_list(pattern), head_dim=16,
    ) | others  # fmt: skip


# What transformers 5 calls otherwise than published configs.
MAMBA, ATTENTION = "mamba", "attention"
NEMOTRON_KEYS = {"time_step_limit": [0.0, float("inf")]}
NEW_NEMOTRON_KEYS = "layers_block_type layer_types mtp_layers_block_type"

WITH_STATE_SPACES = {
    "granitemoe": Case(
        hf.GraniteMoeConfig,
        gqa(num_local_experts=4, num_experts_per_tok=2, **GRANITE, **rope())
        | {"intermediate_size": 32},
        {"num_experts_per_tok": 1, **NO_GRANITE}, old_keys=True,
    ),
    "granitemoeshared": Case(
        hf.GraniteMoeSharedConfig,
        gqa(num_local_experts=4, num_experts_per_tok=2, shared_intermediate_size=40,
            tie_word_embeddings=True, **GRANITE, **rope())
        | {"intermediate_size": 32, "num_hidden_layers": 2},
        {"num_experts_per_tok": 1, "residual_multiplier": 1.0},
    ),
    # As Granite 4 H-Tiny and H-Small: experts beside a shared one, attention without positions.
    "granitemoehybrid": Case(
        hf.GraniteMoeHybridConfig,
        gqa(num_local_experts=4, num_experts_per_tok=2, shared_intermediate_size=40,
            layer_types=["linear_attention", "full_attention", "linear_attention"],
            tie_word_embeddings=True, **GRANITE, **granite_mamba(2, 8, 12, 10), **rope())
        | {"intermediate_size": 32},
        {"num_experts_per_tok": 1, **NO_GRANITE}, old_keys=True,
        hub={"layer_types": [MAMBA, ATTENTION, MAMBA], "position_embedding_type": "nope",
             "normalization_function": "rmsnorm"},
        absent="time_step_limit",
    ),
    # As H-Micro, without experts; with positions; heads of a whole tile, biases.
    "granitemoehybrid_dense": Case(
        hf.GraniteMoeHybridConfig,
        gqa(num_local_experts=0, shared_intermediate_size=80,
            layer_types=["linear_attention", "linear_attention", "full_attention"],
            position_embedding_type="rope", attention_bias=True, mamba_proj_bias=True,
            mamba_conv_bias=False, mamba_d_conv=3,
            **GRANITE, **granite_mamba(1, 3, 64, 16), **rope()),
        {"rms_norm_eps": 0.1},
    ),
    # As Micro: attention alone, with positions.
    "granitemoehybrid_attention": Case(
        hf.GraniteMoeHybridConfig,
        gqa(num_local_experts=0, shared_intermediate_size=80, position_embedding_type="rope",
            layer_types=3 * ["full_attention"], tie_word_embeddings=True, **GRANITE,
            **granite_mamba(1, 8, 12, 16), **rope(theta=1e7)),
        {"position_embedding_type": "nope", "attention_multiplier": 1.0}, old_keys=True,
        hub={"layer_types": 3 * [ATTENTION], "num_experts_per_tok": 0}, absent="time_step_limit",
    ),
    # As Nemotron-H and Nemotron Nano 2.
    "nemotron_h": Case(
        hf.NemotronHConfig,
        gqa(**nemotron("M-M*-", 2, 4, 16, 8)),
        {"mlp_hidden_act": "silu", "layer_norm_epsilon": 0.1},
        hub={"hybrid_override_pattern": "M-M*-", "num_hidden_layers": 5} | NEMOTRON_KEYS,
        absent=NEW_NEMOTRON_KEYS + " n_routed_experts num_local_experts num_experts_per_tok "
        "n_shared_experts moe_intermediate_size moe_shared_expert_intermediate_size "
        "moe_latent_size moe_shared_expert_overlap routed_scaling_factor n_group topk_group "
        "norm_topk_prob",
    ),
    # As Nemotron 3 Nano: experts, without gates like all that feeds forward.
    "nemotron_h_experts": Case(
        hf.NemotronHConfig,
        gqa(**nemotron("ME*ME", 1, 3, 32, 16), n_routed_experts=8, num_experts_per_tok=2,
            moe_intermediate_size=32, moe_shared_expert_intermediate_size=40, n_group=4,
            topk_group=2, routed_scaling_factor=2.5, norm_topk_prob=True, use_bias=True,
            mlp_bias=True),
        {"num_experts_per_tok": 3, "norm_topk_prob": False, "routed_scaling_factor": 1.0,
         "topk_group": 1},
        hub={"hybrid_override_pattern": "ME*ME", "num_hidden_layers": 5} | NEMOTRON_KEYS,
        absent=NEW_NEMOTRON_KEYS,
        unused={"mtp.layers.0.eh_proj.weight": [48, 96], "mtp.layers.1.norm.weight": [48]},
    ),
    # As Nemotron 3 Super: experts of a latent; as transformers 5 saves it.
    "nemotron_h_latent": Case(
        hf.NemotronHConfig,
        gqa(**nemotron("*EME", 2, 8, 8, 12), n_routed_experts=6, num_experts_per_tok=2,
            moe_intermediate_size=32, moe_shared_expert_intermediate_size=40, n_group=1,
            topk_group=1, moe_latent_size=20),
        {"num_experts_per_tok": 3},
    ),
}  # fmt: skip
