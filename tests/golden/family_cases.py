"""The tiny models of make_family_references.py: one case per family and per switch of a family.

Heads are of 8 to 16 elements; windows, soft-caps and original context lengths are small enough
that 64 tokens feel them. `changes` are ablations: each must move the logits, or the case would not
show what it is there for.
"""

from dataclasses import dataclass, field

import transformers as hf

VOCABULARY = 250  # the smallest: tokens are below it
WINDOW = 12
ROPE = "rope_parameters"


@dataclass(frozen=True)
class Case:
    config: type  # of transformers
    values: dict  # for its constructor
    changes: dict = field(default_factory=dict)  # dotted key of config.json: another value
    old_keys: bool = False  # config.json as transformers 4 wrote it
    hub: dict = field(default_factory=dict)  # what else the hub's config.json has
    absent: str = ""  # keys that the hub's config.json leaves to their defaults
    rename: tuple = ("", "")  # (what names begin with for save_pretrained, and in hub files)
    unused: dict = field(default_factory=dict)  # tensors of hub files that no model needs: shapes
    copies: dict = field(default_factory=dict)  # a second name of another tensor's values
    unread: str = ""  # before names of tensors that text does not need
    text_of: str = ""  # model_type of the config whose text_config this is
    stacked: bool = False  # a layer's experts are in one tensor, as modules hold them


def sizes(vocabulary=VOCABULARY, **others):
    """What most families call alike: 3 layers of 4 heads of 12 elements."""
    return dict(
        vocab_size=vocabulary, hidden_size=48, intermediate_size=80, num_hidden_layers=3,
        num_attention_heads=4, max_position_embeddings=128, pad_token_id=None, bos_token_id=1,
        eos_token_id=2,
    ) | others  # fmt: skip


def rope(kind="default", theta=10000.0, **others):
    return {ROPE: {"rope_type": kind, "rope_theta": theta} | others}


def both_kinds(theta, **scaling):
    """Rope of layers with a window, and of the others, which scaling is about."""
    plain = {"rope_type": "default", "rope_theta": theta}
    return {ROPE: {"sliding_attention": plain, "full_attention": plain | scaling}}


def gqa(**others):
    return sizes(num_key_value_heads=2, **others)


def per_layer(layers, name, shape):
    return {name.format(layer): shape for layer in range(layers)}


NO_SCALING = {"rope_scaling": None}
DEFAULT_ROPE = {f"{ROPE}.rope_type": "default"}
# Two ways of 12 / 2 = 6 factors; short ones that are not 1, so that they cannot be left out.
SHORT = [1.0, 1.05, 1.1, 1.2, 1.4, 1.7]
LONG = [1.0, 1.5, 2.5, 4.0, 7.0, 11.0]

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

NEOX = sizes(num_attention_heads=3, **rope(partial_rotary_factor=0.25))
STABLELM = sizes(num_attention_heads=3, num_key_value_heads=3, **rope(partial_rotary_factor=0.25))
FALCON = {k: v for k, v in sizes(**rope()).items() if k != "intermediate_size"}
GPT2 = dict(vocab_size=VOCABULARY, n_positions=64, n_embd=48, n_layer=3, n_head=4,
            bos_token_id=0, eos_token_id=0)  # fmt: skip

WITH_LAYER_NORM = {
    "gpt_neox": Case(
        hf.GPTNeoXConfig, NEOX, {"rotary_pct": 0.5, "use_parallel_residual": False}, old_keys=True,
        unused=per_layer(3, "gpt_neox.layers.{}.attention.bias", [1, 1, 128, 128])
        | per_layer(3, "gpt_neox.layers.{}.attention.masked_bias", [])
        | per_layer(3, "gpt_neox.layers.{}.attention.rotary_emb.inv_freq", [2]),
    ),
    "gpt_neox_sequential": Case(
        hf.GPTNeoXConfig,
        NEOX | {"use_parallel_residual": False} | rope(partial_rotary_factor=1.0),
        {"use_parallel_residual": True},
    ),
    "stablelm": Case(hf.StableLmConfig, STABLELM, {"partial_rotary_factor": 0.5}, old_keys=True),
    "stablelm2_bias": Case(
        hf.StableLmConfig,
        STABLELM | {"use_qkv_bias": True, "use_parallel_residual": True, "num_key_value_heads": 1},
        {f"{ROPE}.partial_rotary_factor": 0.5},
    ),
    "stablelm2_12b": Case(
        hf.StableLmConfig,
        STABLELM | {"qk_layernorm": True, "use_parallel_residual": True, "use_qkv_bias": True,
                    "num_attention_heads": 6, "num_key_value_heads": 2},
        {f"{ROPE}.partial_rotary_factor": 0.5},
    ),
    "falcon_7b": Case(
        hf.FalconConfig, FALCON | {"multi_query": True, "parallel_attn": True, "bias": False},
        {"rope_theta": 500.0}, old_keys=True, absent="tie_word_embeddings ffn_hidden_size",
        copies={"lm_head.weight": "transformer.word_embeddings.weight"},
    ),
    "falcon_40b": Case(
        hf.FalconConfig,
        FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2, "num_attention_heads": 6},
        {"rope_theta": 500.0}, old_keys=True, absent="tie_word_embeddings ffn_hidden_size",
    ),
    "falcon_11b": Case(
        hf.FalconConfig,
        FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2, "ffn_hidden_size": 80,
                  "num_ln_in_parallel_attn": 1, "tie_word_embeddings": False},
        {f"{ROPE}.rope_theta": 500.0},
    ),
    # As published: biases of attention, two of whose six heads lie between those of four.
    "falcon_rw": Case(
        hf.FalconConfig,
        FALCON | {"alibi": True, "multi_query": False, "parallel_attn": False, "bias": True,
                  "num_attention_heads": 6},
        {"alibi": False}, old_keys=True, absent="tie_word_embeddings ffn_hidden_size",
    ),
    # As published: names of the model without its head, a table that is tied to it.
    "bloom": Case(
        hf.BloomConfig,
        dict(vocab_size=VOCABULARY, hidden_size=48, n_layer=3, n_head=6, bos_token_id=1,
             eos_token_id=2),
        {"n_head": 8}, hub={"seq_length": 64}, absent="tie_word_embeddings",
        rename=("transformer.", ""),
    ),
    "gpt2": Case(hf.GPT2Config, GPT2, {"activation_function": "relu"}),
    "gpt2_base_names": Case(
        hf.GPT2Config, GPT2 | {"n_inner": 80, "n_positions": 80},
        {"activation_function": "relu"}, old_keys=True,
        rename=("transformer.", ""), unused=per_layer(3, "h.{}.attn.bias", [1, 1, 80, 80]),
        hub={"n_ctx": 80}, absent="tie_word_embeddings",
    ),
}  # fmt: skip

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
}  # fmt: skip

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

CASES = LATER_GEMMA | LLAMA | EXPERTS | WITH_DELTA_NETS | WITH_STATE_SPACES | MISTRAL_AND_QWEN | GEMMA | PHI_AND_OTHERS | WITH_LAYER_NORM | COHERE_AND_LATER
