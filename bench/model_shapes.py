"""Shapes of models that make_model.py makes: tensors in execution order, and configs."""

import dataclasses

Tensors = list[tuple[str, tuple[int, ...]]]

VOCABULARY = 32000
COMMON = {"dtype": "bfloat16", "torch_dtype": "bfloat16", "hidden_act": "silu",
          "vocab_size": VOCABULARY, "max_position_embeddings": 4096, "rope_theta": 10000.0,
          "rope_scaling": None, "attention_bias": False, "tie_word_embeddings": False,
          "bos_token_id": None, "eos_token_id": None, "use_cache": True, "initializer_range": 0.02}


@dataclasses.dataclass(frozen=True)
class Llama:
    """Dense blocks."""
    hidden: int = 2048
    heads: int = 16
    kv_heads: int = 8
    intermediate: int = 5632
    first_blocks: int = 0  # that are unlike the others

    def block(self, layer: int) -> Tensors:
        prefix = f"model.layers.{layer}."
        kv_rows = self.hidden // self.heads * self.kv_heads
        return [
            (prefix + "input_layernorm.weight", (self.hidden,)),
            (prefix + "self_attn.q_proj.weight", (self.hidden, self.hidden)),
            (prefix + "self_attn.k_proj.weight", (kv_rows, self.hidden)),
            (prefix + "self_attn.v_proj.weight", (kv_rows, self.hidden)),
            (prefix + "self_attn.o_proj.weight", (self.hidden, self.hidden)),
            (prefix + "post_attention_layernorm.weight", (self.hidden,)),
            *mlp(prefix + "mlp.", self.hidden, self.intermediate),
        ]

    def config(self, layers: int) -> dict:
        return {"architectures": ["LlamaForCausalLM"], "model_type": "llama"} | COMMON | {
            "hidden_size": self.hidden, "intermediate_size": self.intermediate,
            "num_hidden_layers": layers, "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "head_dim": self.hidden // self.heads,
            "rms_norm_eps": 1e-5, "mlp_bias": False}


@dataclasses.dataclass(frozen=True)
class DeepSeek:
    """Latent attention; one dense block, then experts in all of them."""
    hidden: int = 2048
    heads: int = 16
    intermediate: int = 10944
    expert: int = 1408
    experts: int = 64
    chosen: int = 6
    query_rank: int = 768
    rank: int = 512
    nope: int = 128
    rope: int = 64
    value: int = 128
    first_blocks: int = 1

    def block(self, layer: int) -> Tensors:
        prefix = f"model.layers.{layer}."
        attention = prefix + "self_attn."
        tensors = [
            (prefix + "input_layernorm.weight", (self.hidden,)),
            (attention + "q_a_proj.weight", (self.query_rank, self.hidden)),
            (attention + "q_a_layernorm.weight", (self.query_rank,)),
            (attention + "q_b_proj.weight",
             (self.heads * (self.nope + self.rope), self.query_rank)),
            (attention + "kv_a_proj_with_mqa.weight", (self.rank + self.rope, self.hidden)),
            (attention + "kv_a_layernorm.weight", (self.rank,)),
            (attention + "kv_b_proj.weight", (self.heads * (self.nope + self.value), self.rank)),
            (attention + "o_proj.weight", (self.hidden, self.heads * self.value)),
            (prefix + "post_attention_layernorm.weight", (self.hidden,)),
        ]
        if layer < self.first_blocks:
            return tensors + mlp(prefix + "mlp.", self.hidden, self.intermediate)
        tensors += [(prefix + "mlp.gate.weight", (self.experts, self.hidden)),
                    (prefix + "mlp.gate.e_score_correction_bias", (self.experts,))]
        for expert in range(self.experts):
            tensors += mlp(f"{prefix}mlp.experts.{expert}.", self.hidden, self.expert)
        return tensors + mlp(prefix + "mlp.shared_experts.", self.hidden, self.expert)

    def config(self, layers: int) -> dict:
        return {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3"} | COMMON | {
            "hidden_size": self.hidden, "intermediate_size": self.intermediate,
            "moe_intermediate_size": self.expert, "num_hidden_layers": layers,
            "num_attention_heads": self.heads, "num_key_value_heads": self.heads,
            "q_lora_rank": self.query_rank, "kv_lora_rank": self.rank,
            "qk_nope_head_dim": self.nope, "qk_rope_head_dim": self.rope,
            "v_head_dim": self.value, "first_k_dense_replace": self.first_blocks,
            "n_routed_experts": self.experts, "n_shared_experts": 1,
            "num_experts_per_tok": self.chosen, "n_group": 8, "topk_group": 4,
            "topk_method": "noaux_tc", "scoring_func": "sigmoid", "norm_topk_prob": True,
            "routed_scaling_factor": 2.5, "num_nextn_predict_layers": 0, "rms_norm_eps": 1e-6}


def mlp(prefix: str, hidden: int, intermediate: int) -> Tensors:
    return [(prefix + "gate_proj.weight", (intermediate, hidden)),
            (prefix + "up_proj.weight", (intermediate, hidden)),
            (prefix + "down_proj.weight", (hidden, intermediate))]


SHAPES = {"llama": Llama(), "deepseek": DeepSeek()}
