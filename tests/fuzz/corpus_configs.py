"""The seeds that are model configs or made around one, for make_corpus.py."""

import json
import re
from pathlib import Path

QUANTIZED = Path(__file__).parent.parent / "golden" / "quantized"
FAMILIES = Path(__file__).parent.parent / "golden" / "families"
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8,
    "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 32,
}


def write_configs(write):
    write("json_config", "smallest", CONFIG)
    write("json_config", "not_finite", CONFIG | {
        "initializer_range": float("inf"), "limits": [0.0, float("-inf")], "some": float("nan")})
    write("json_config", "by_model_type", {
        key: setting for key, setting in CONFIG.items() if key != "architectures"})
    write("json_config", "every_key", CONFIG | {
        "num_key_value_heads": 1, "head_dim": 4, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True, "max_position_embeddings": 128, "rope_theta": 10000.0,
        "rope_scaling": None, "attention_bias": False, "mlp_bias": False, "hidden_act": "silu",
        "torch_dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": [2, 3]})
    write("json_config", "rope_parameters", CONFIG | {
        "rope_parameters": {"rope_type": "default", "rope_theta": 500000,
                            "partial_rotary_factor": 1.0}})


    for case in ["cohere_qk_norm", "exaone4", "falcon_40b", "gemma3", "gpt2", "gpt_neox", "granite",
                 "granitemoehybrid", "hunyuan_v1_dense", "llama_yarn", "ministral3", "mistral",
                 "nemotron_h_experts", "nemotron_h_latent", "phi3_longrope", "qwen3_5_text",
                 "qwen3_moe", "qwen3_next", "smollm3", "stablelm2_12b", "stablelm2_bias"]:
        write("json_config", case, json.loads((FAMILIES / case / "config.json").read_text()))


META = {"dim": 8, "n_layers": 1, "n_heads": 2, "norm_eps": 1e-05, "vocab_size": -1}


def write_meta(write):
    write("meta", "smallest", {key: META[key] for key in ["dim", "n_layers", "n_heads"]})
    write("meta", "llama3", META | {
        "n_kv_heads": 1, "multiple_of": 16, "ffn_dim_multiplier": 0.5, "vocab_size": 6,
        "rope_theta": 500000.0, "use_scaled_rope": True, "head_dim": 4})
    write("meta", "narrow", META | {"dim": 4})
    write("meta", "mixtral", META | {"moe": {"num_experts": 8}, "sliding_window": 4096})


def write_lit_configs(write):
    fields = {
        "name": "Tiny", "hf_config": "\n  org: initrt\n  name: Tiny", "block_size": 128,
        "n_layer": 1, "n_head": 2, "n_embd": 8, "n_query_groups": 1, "intermediate_size": 16,
        "padded_vocab_size": 32, "vocab_size": 30, "bias": "false", "norm_class_name": "RMSNorm",
        "mlp_class_name": "LLaMAMLP", "norm_eps": "1.0e-05", "parallel_residual": "false",
        "rotary_percentage": 1.0, "rope_base": 10000, "rope_condense_ratio": 1,
        "sliding_window_size": "null", "head_size": 4}
    lines = [f"{key}: {field}" for key, field in fields.items()]
    write("lit_config", "tiny", "\n".join(lines).encode())
    write("lit_config", "flow", ("{" + ", ".join(
        line for line in lines if "hf_config" not in line) + "}").encode())
    write("lit_config", "rope_adjustments", "\n".join(lines + [
        "rope_adjustments:", "  factor: 32.0", "  low_freq_factor: 1.0",
        "  high_freq_factor: 4.0", "  original_max_seq_len: 8192"]).encode())
    write("lit_config", "yaml", b"""%YAML 1.1
---  # scalars of every kind
- [~, null, yes, True, 0x1F, 0o17, 1e-05, .inf, -.5, 12345678901234567890]
- "double \\u263A \\x41": 'single''s'
  ? key
  : |
    literal
  folded: >-
    folded
    text
...
""")


# Names: a model's config.json on one line, then a line for each of its tensors (names_fuzz.cpp).

ENDS = ["embed_tokens", "norm", "lm_head"]
END_SHAPES = ["BF16 V H", "F32 H", "F16 V H"]
BLOCK = ["input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
         "self_attn.o_proj", "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj",
         "mlp.down_proj"]
BLOCK_SHAPES = ["BF16 H", "BF16 Q H", "BF16 K H", "BF16 K H", "BF16 H Q T", "BF16 H", "BF16 F H R",
                "BF16 F H C", "BF16 H F"]
FUSED_SHAPES = ["F32 H", "F32 QKK H", "F32 H Q", "F32 H", "F32 F H", "F32 F H", "F32 H F"]
LIT_ENDS = ["transformer.wte.weight", "transformer.ln_f.weight", "lm_head.weight"]


def weights(names, prefix=""):
    return [f"{prefix}{name}.weight" for name in names]


def write_names(write):
    meta = ["attention_norm", "attention.wq", "attention.wk", "attention.wv", "attention.wo",
            "ffn_norm", "feed_forward.w1", "feed_forward.w3", "feed_forward.w2"]
    gguf = ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate",
            "ffn_up", "ffn_down"]
    lit_gpt = ["norm_1", "attn.attn", "attn.proj", "norm_2", "mlp.fc_1", "mlp.fc_2", "mlp.proj"]
    stacked = ["norm_1", "attn.qkv", "attn.proj", "norm_2", "mlp.fc_1", "mlp.fc_2", "mlp.proj"]
    lit_llama = ["rms_1.scale", "attn.c_attn.weight", "attn.c_proj.weight", "rms_2.scale",
                 "mlp.c_fc1.weight", "mlp.c_fc2.weight", "mlp.c_proj.weight"]

    def names(name, ends, block, shapes=BLOCK_SHAPES, end_shapes=END_SHAPES, **config):
        config = CONFIG | {"num_hidden_layers": 1, "num_key_value_heads": 1} | config
        tensors = zip(ends + block, end_shapes + shapes)
        write("names", name, "\n".join(
            [json.dumps(config)] + [f"{tensor} {shape}" for tensor, shape in tensors]).encode())

    names("huggingface", weights(ENDS[:2], "model.") + weights(ENDS[2:]),
          weights(BLOCK, "model.layers.0."))
    names("base_tied", weights(ENDS[:2]), weights(BLOCK, "layers.0."),
          end_shapes=END_SHAPES[:2], tie_word_embeddings=True)
    names("inner_wrappers", weights(ENDS[:2], "_orig_mod.model.") + weights(ENDS[2:], "module."),
          weights(BLOCK, "_orig_mod.model.layers.0._checkpoint_wrapped_module."))
    names("head_outside", weights(ENDS[:2], "model.language_model.") + weights(ENDS[2:]),
          weights(BLOCK, "model.language_model.layers.0."))
    names("scales", weights(ENDS[:2], "model.") + weights(ENDS[2:]) +
          ["model.layers.0.self_attn.q_proj.weight_scale", "model.layers.0.self_attn.q_proj.SCB"],
          weights(BLOCK, "model.layers.0."), end_shapes=END_SHAPES + ["F32", "F32 H"])
    names("meta", weights(["tok_embeddings", "norm", "output"]), weights(meta, "layers.0."))
    names("gguf", weights(["token_embd", "output_norm", "output"]), weights(gguf, "blk.0."),
          end_shapes=["Q8_0 V H", "F32 H", "BF16 V H"], hidden_size=32)
    names("lit_gpt", LIT_ENDS, weights(lit_gpt, "transformer.h.0."), FUSED_SHAPES)
    names("lit_gpt_stacked", LIT_ENDS, weights(stacked, "transformer.h.0."), FUSED_SHAPES)
    # Of families with names of their own, one layer of the golden test's models.
    for case, layers in [("falcon_40b", "num_hidden_layers"), ("gpt2", "n_layer"),
                         ("gpt_neox", "num_hidden_layers"), ("mixtral", "num_hidden_layers"),
                         ("phi3", "num_hidden_layers"), ("phi", "num_hidden_layers"),
                         ("cohere_qk_norm", "num_hidden_layers"),
                         ("stablelm2_12b", "num_hidden_layers"),
                         ("granitemoehybrid", {"num_hidden_layers": 1, "layer_types": ["mamba"]}),
                         ("nemotron_h_experts", {"hybrid_override_pattern": "M"})]:
        config = json.loads((FAMILIES / case / "config.json").read_text())
        config |= layers if isinstance(layers, dict) else {layers: 1}
        tensors = json.loads((FAMILIES / case / "tensors.json").read_text())
        first_layer = [name for name in tensors if (re.findall(r"\.(\d+)\.", name) + ["0"])[0] == "0"]
        lines = [f"{name} BF16 {' '.join(map(str, tensors[name]['shape']))}" for name in first_layer]
        write("names", case, "\n".join([json.dumps(config)] + lines).encode())
        if case == "mixtral":  # as transformers 5 holds its experts
            mlp, count = "model.layers.0.mlp.", config["num_local_experts"]
            wide, hidden = config["intermediate_size"], config["hidden_size"]
            lines = [line for line in lines if "block_sparse_moe" not in line] + [
                f"{mlp}gate.weight BF16 {count} {hidden}",
                f"{mlp}experts.gate_up_proj BF16 {count} {2 * wide} {hidden}",
                f"{mlp}experts.down_proj BF16 {count} {hidden} {wide}"]
            write("names", "fused_experts", "\n".join([json.dumps(config)] + lines).encode())
    names("lit_llama", [end.replace("ln_f.weight", "ln_f.scale") for end in LIT_ENDS],
          [f"transformer.h.0.{name}" for name in lit_llama], FUSED_SHAPES)
    for case in ["awq", "bnb_fp4", "bnb_int8", "ct_fp8_block", "ct_int4_order", "ct_int4_zeros",
                 "ct_nvfp4", "fp8_block", "gptq4_order", "gptq8_v2_rows"]:
        config = json.loads((QUANTIZED / case / "config.json").read_text())
        content = (QUANTIZED / case / "model.safetensors").read_bytes()
        header = json.loads(content[8:8 + int.from_bytes(content[:8], "little")])
        lines = [f"{name} {tensor['dtype']} {' '.join(map(str, tensor['shape']))}".rstrip()
                 for name, tensor in header.items() if name != "__metadata__"]
        write("names", f"quantized_{case}", "\n".join([json.dumps(config)] + lines).encode())
