"""The formats of Lit-LLaMA, Lit-GPT and LitGPT for make_checkpoint_references.py."""

import io
import json
import pickle

import torch
import yaml

from checkpoint_model import CONTEXT, EPSILON, THETA
from checkpoint_writers import interleaved

LIT_GPT_NAMES = {
    "model.embed_tokens": "transformer.wte",
    "model.norm": "transformer.ln_f",
    "model.layers": "transformer.h",
    "input_layernorm": "norm_1",
    "post_attention_layernorm": "norm_2",
    "self_attn.o_proj": "attn.proj",
    "mlp.gate_proj": "mlp.fc_1",
    "mlp.up_proj": "mlp.fc_2",
    "mlp.down_proj": "mlp.proj",
}
LIT_LLAMA_NAMES = {
    "model.embed_tokens": "transformer.wte",
    "model.norm.weight": "transformer.ln_f.scale",
    "model.layers": "transformer.h",
    "input_layernorm.weight": "rms_1.scale",
    "post_attention_layernorm.weight": "rms_2.scale",
    "self_attn.o_proj": "attn.c_proj",
    "mlp.gate_proj": "mlp.c_fc1",
    "mlp.up_proj": "mlp.c_fc2",
    "mlp.down_proj": "mlp.c_proj",
}


def lit_state(model, names, fused_name, fuse):
    """What does not change first, then each layer's fuse(q, k, v): the order of Lit-GPT's files."""
    tensors = model.tensors()
    state = {}
    for name, tensor in tensors.items():
        if not any(part in name for part in ("q_proj", "k_proj", "v_proj")):
            for old, new in names.items():
                name = name.replace(old, new)
            state[name] = tensor
    for layer in range(model.layers):
        parts = [tensors[f"model.layers.{layer}.self_attn.{p}_proj.weight"] for p in "qkv"]
        state[f"transformer.h.{layer}.attn.{fused_name}.weight"] = fuse(*parts)
    return state


class NumberedStorages(pickle.Pickler):
    """Lit-GPT's incremental_save: the key of a storage is a number, where torch.save has a string,
    and the pickle comes after the storages."""

    def __init__(self, file, records, protocol):
        super().__init__(file, protocol)
        self.records = records
        self.written = 0

    def persistent_id(self, item):
        if not isinstance(item, torch.storage.TypedStorage):
            return None
        key = self.written
        self.written += 1
        storage = item._untyped_storage
        self.records.write_record(f"data/{key}", storage, storage.nbytes())
        return ("storage", getattr(torch, item._pickle_storage_type()), key, "cpu", item._size())


def write_lit_model(state, path, protocol):
    records = torch._C.PyTorchFileWriter(str(path))
    content = io.BytesIO()
    NumberedStorages(content, records, protocol).dump(state)
    records.write_record("data.pkl", content.getvalue(), len(content.getvalue()))
    records.write_end_of_file()


def lit_gpt_old(model, folder):
    """Lit-GPT at the end of 2023: of each query group its queries, its key, its value."""

    def by_group(q, k, v):
        size = model.head_size
        queries = q.split(size * (model.heads // model.kv_heads))
        groups = zip(queries, k.split(size), v.split(size))
        return torch.cat([part for group in groups for part in group])

    config = {
        "name": "Tiny",
        "hf_config": {"org": "initrt", "name": "Tiny"},
        "block_size": CONTEXT,
        "vocab_size": model.vocabulary,
        "padding_multiple": 32,
        "padded_vocab_size": model.vocabulary,
        "n_layer": model.layers,
        "n_head": model.heads,
        "n_embd": model.hidden,
        "rotary_percentage": 1.0,
        "parallel_residual": False,
        "bias": False,
        "lm_head_bias": False,
        "n_query_groups": model.kv_heads,
        "shared_attention_norm": False,
        "_norm_class": "RMSNorm",
        "norm_eps": EPSILON,
        "_mlp_class": "LLaMAMLP",
        "gelu_approximate": "none",
        "intermediate_size": model.intermediate,
        "rope_condense_ratio": 1,
        "rope_base": int(THETA),
    }
    (folder / "lit_config.json").write_text(json.dumps(config))
    state = lit_state(model, LIT_GPT_NAMES, "attn", by_group)
    write_lit_model(state, folder / "lit_model.pth", protocol=5)


def stacked(*parts):
    return torch.cat(parts)


def write_lit_gpt_config(model, folder):
    """The fields of LitGPT 0.5's Config, in the order and spelling of yaml.dump()."""
    config = {
        "name": "Tiny",
        "hf_config": {"org": "initrt", "name": "Tiny"},
        "block_size": CONTEXT,
        "n_layer": model.layers,
        "n_embd": model.hidden,
        "vocab_size": model.vocabulary - 6,
        "padding_multiple": 512,
        "padded_vocab_size": model.vocabulary,
        "norm_class_name": "RMSNorm",
        "norm_eps": EPSILON,
        "norm_qk": False,
        "norm_qk_type": "default",
        "post_attention_norm": False,
        "post_mlp_norm": False,
        "parallel_residual": False,
        "shared_attention_norm": False,
        "n_head": model.heads,
        "head_size": model.head_size,
        "n_query_groups": model.kv_heads,
        "attn_bias": False,
        "attention_scores_scalar": None,
        "sliding_window_size": None,
        "sliding_window_indices": None,
        "attention_logit_softcapping": None,
        "rope_base": int(THETA),
        "rotary_percentage": 1.0,
        "rope_condense_ratio": 1,
        "rope_adjustments": None,
        "rope_interleave": False,
        "intermediate_size": model.intermediate,
        "moe_intermediate_size": None,
        "bias": False,
        "mlp_class_name": "LLaMAMLP",
        "gelu_approximate": "none",
        "n_expert": 0,
        "n_shared_expert": None,
        "n_expert_groups": None,
        "n_topk_groups": None,
        "n_topk_scores_per_group": None,
        "n_expert_per_token": 0,
        "first_k_dense_replace": None,
        "routed_scaling_factor": 1.0,
        "norm_topk_prob": False,
        "scale_embeddings": False,
        "lm_head_bias": False,
        "final_logit_softcapping": None,
        "norm_1": True,
        "norm_2": True,
        "latent_attention": None,
        "rope_local_base_freq": None,
        "rope_indices": None,
    }
    with open(folder / "model_config.yaml", "w", encoding="utf-8") as file:
        yaml.dump(config, file)


def lit_gpt(model, folder):
    """LitGPT: the rows of Q, then K, then V."""
    write_lit_gpt_config(model, folder)
    state = lit_state(model, LIT_GPT_NAMES, "qkv", stacked)
    write_lit_model(state, folder / "lit_model.pth", protocol=2)


def lit_gpt_trained(model, folder):
    write_lit_gpt_config(model, folder)
    state = lit_state(model, LIT_GPT_NAMES, "qkv", stacked)
    torch.save({"model": state, "step_count": 7}, folder / "lit_model.pth")


def lit_llama(model, folder):
    """Lit-LLaMA, made of Meta's files: Q, K and V stacked, the first two interleaved."""

    def meta_stacked(q, k, v):
        return torch.cat([interleaved(q, model.heads), interleaved(k, model.kv_heads), v])

    state = lit_state(model, LIT_LLAMA_NAMES, "c_attn", meta_stacked)
    torch.save(state, folder / "lit-llama.pth")
