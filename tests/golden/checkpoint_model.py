"""The tiny LLaMA models of make_checkpoint_references.py: shapes, weights and their config."""

from dataclasses import dataclass

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

CONTEXT = 128
EPSILON = 1e-5
THETA = 10000.0


@dataclass(frozen=True)
class Model:
    heads: int
    kv_heads: int
    head_size: int
    intermediate: int
    vocabulary: int
    dtype: torch.dtype
    layers: int
    seed: int
    tied: bool = False

    @property
    def hidden(self):
        return self.heads * self.head_size

    def shapes(self):
        """Hugging Face names and shapes, [out, in], in the order of LlamaForCausalLM."""
        kv = self.kv_heads * self.head_size
        shapes = {"model.embed_tokens.weight": (self.vocabulary, self.hidden)}
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}."
            shapes |= {
                prefix + "self_attn.q_proj.weight": (self.hidden, self.hidden),
                prefix + "self_attn.k_proj.weight": (kv, self.hidden),
                prefix + "self_attn.v_proj.weight": (kv, self.hidden),
                prefix + "self_attn.o_proj.weight": (self.hidden, self.hidden),
                prefix + "mlp.gate_proj.weight": (self.intermediate, self.hidden),
                prefix + "mlp.up_proj.weight": (self.intermediate, self.hidden),
                prefix + "mlp.down_proj.weight": (self.hidden, self.intermediate),
                prefix + "input_layernorm.weight": (self.hidden,),
                prefix + "post_attention_layernorm.weight": (self.hidden,),
            }
        shapes["model.norm.weight"] = (self.hidden,)
        if not self.tied:
            shapes["lm_head.weight"] = (self.vocabulary, self.hidden)
        return shapes

    def tensors(self):
        """The canonical weights, in the model's dtype: random, among them -0 and subnormals."""
        rng = np.random.default_rng(self.seed)
        tensors = {}
        for name, shape in self.shapes().items():
            values = rng.normal(0, 0.1, shape) + (len(shape) == 1)
            tensors[name] = torch.from_numpy(values).to(self.dtype)
        smallest = torch.finfo(self.dtype).smallest_normal
        first_row = tensors["model.embed_tokens.weight"][0]
        first_row[:4] = torch.tensor([-0.0, smallest, -smallest / 2, smallest / 64])
        return tensors

    def config(self):
        return LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.hidden,
            intermediate_size=self.intermediate,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            max_position_embeddings=CONTEXT,
            rms_norm_eps=EPSILON,
            rope_parameters={"rope_theta": THETA, "rope_type": "default"},
            tie_word_embeddings=self.tied,
            pad_token_id=None,
            bos_token_id=1,
            eos_token_id=2,
            architectures=["LlamaForCausalLM"],
            dtype=self.dtype,
        )

    def module(self):
        module = LlamaForCausalLM(self.config()).to(self.dtype)
        tensors = self.tensors()
        if self.tied:
            tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
        module.load_state_dict(tensors)
        return module.eval()
