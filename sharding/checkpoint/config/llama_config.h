// A LLaMA's config in Hugging Face's keys, for formats that say the same in their own way.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

namespace initrt {

struct LlamaSizes {
  std::uint64_t hidden = 0, intermediate = 0, layers = 0;
  std::uint64_t heads = 0, kv_heads = 0, head_size = 0;
  std::uint64_t vocabulary = 0, context = 0;
  double epsilon = 1e-5, rope_theta = 10000.0;
  nlohmann::json rope_scaling;  ///< Hugging Face's rope_scaling, or null
  bool tied = false;            ///< the embedding is also the head
  bool attention_bias = false, mlp_bias = false;
};

/// The config.json of a LlamaForCausalLM.
[[nodiscard]] nlohmann::json llama_config(const LlamaSizes& sizes);

}  // namespace initrt
