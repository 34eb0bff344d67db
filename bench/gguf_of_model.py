"""A Hugging Face checkpoint of a LLaMA as a GGUF file, for llama.cpp beside this program."""

import json
import pathlib
import re

import gguf
import torch
from safetensors import safe_open


def gguf_name(name: str) -> str:
    layer = re.match(r"model\.layers\.(\d+)\.", name)
    parts = {"embed_tokens": "token_embd", "lm_head": "output", "model.norm": "output_norm",
             "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
             "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
             "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}
    for part, there in parts.items():
        if part in name:
            return (f"blk.{layer[1]}." if layer else "") + there + ".weight"
    raise ValueError(name)


def write_gguf(model: pathlib.Path, path: pathlib.Path, kind: str) -> None:
    """All matrices in one type, such as BF16. Rotary rows stay as they are: only speed is measured."""
    type_of_matrices = gguf.GGMLQuantizationType[kind]
    config = json.loads((model / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    for file in sorted(model.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():
                values = tensors.get_tensor(name).to(torch.float32).numpy()
                if values.ndim == 1:
                    writer.add_tensor(gguf_name(name), values)
                else:
                    blocks = gguf.quants.quantize(values, type_of_matrices)
                    writer.add_tensor(gguf_name(name), blocks, raw_dtype=type_of_matrices)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
