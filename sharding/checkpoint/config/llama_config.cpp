#include "sharding/checkpoint/config/llama_config.h"

namespace initrt {

nlohmann::json llama_config(const LlamaSizes& sizes) {
  return {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"hidden_size", sizes.hidden},
      {"intermediate_size", sizes.intermediate},
      {"num_hidden_layers", sizes.layers},
      {"num_attention_heads", sizes.heads},
      {"num_key_value_heads", sizes.kv_heads},
      {"head_dim", sizes.head_size},
      {"max_position_embeddings", sizes.context},
      {"rms_norm_eps", sizes.epsilon},
      {"rope_theta", sizes.rope_theta},
      {"rope_scaling", sizes.rope_scaling},
      {"vocab_size", sizes.vocabulary},
      {"tie_word_embeddings", sizes.tied},
      {"hidden_act", "silu"},
      {"attention_bias", sizes.attention_bias},
      {"attention_dropout", 0.0},
      {"mlp_bias", sizes.mlp_bias},
      {"initializer_range", 0.02},
      {"pretraining_tp", 1},
      {"use_cache", true},
      {"torch_dtype", "float32"},
  };
}

}  // namespace initrt
