"""Families with layer norms."""

import transformers as hf

from .case import Case, ROPE, VOCABULARY, per_layer, rope, sizes

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
