// The names of Lightning's models. Lit-LLaMA (github.com/Lightning-AI/lit-llama, model.py): Q, K
// and V fused, rotary halves interleaved. Lit-GPT, Lit-Parrot before it, LitGPT after it
// (github.com/Lightning-AI/litgpt, model.py): Q, K and V fused, halves split; `attn.attn` has its
// rows by query group (the group's query heads, its key, its value), the later `attn.qkv` has all
// of Q, all of K, all of V.
#pragma once

#include "sharding/checkpoint/names/names.h"

namespace initrt {

[[nodiscard]] std::vector<std::string> lit_llama_anchors(const Graph&);
[[nodiscard]] Stored locate_lit_llama(const Tensor& canonical, const Graph& graph,
                                      const StoredNames&);

[[nodiscard]] std::vector<std::string> lit_gpt_anchors(const Graph&);
[[nodiscard]] Stored locate_lit_gpt(const Tensor& canonical, const Graph& graph,
                                    const StoredNames&);

[[nodiscard]] std::vector<std::string> lit_gpt_stacked_anchors(const Graph&);
[[nodiscard]] Stored locate_lit_gpt_stacked(const Tensor& canonical, const Graph& graph,
                                            const StoredNames&);

}  // namespace initrt
