#include "sharding/checkpoint/config/gguf_gemma4.h"

#include <algorithm>
#include <string>

namespace initrt {
namespace {

using Json = nlohmann::json;

// The first layer of a kind. @throws Error where there is none
std::size_t first_of_kind(const Json& types, const char* kind) {
  const auto found = std::find(types.begin(), types.end(), kind);
  if (found == types.end()) fail("GGUF metadata: no layer is of the kind {}", kind);
  return static_cast<std::size_t>(found - types.begin());
}

// The part of a head that is turned where all is seen: the factors of what stands still are 1e30.
double turning_part(const GgufSource& source) {
  constexpr const char* kFactors = "rope_freqs.weight";
  constexpr float kStill = 1e29f;
  if (!source.has(kFactors)) return 1.0;
  const std::vector<float> factors = source.floats(kFactors);
  const auto turning =
      std::count_if(factors.begin(), factors.end(), [](float factor) { return factor < kStill; });
  return static_cast<double>(turning) / static_cast<double>(factors.size());
}

void add_heads(const GgufSource& source, Json& config) {
  const GgufMetadata& metadata = source.metadata;
  const Json& types = config["layer_types"];
  const std::size_t all = first_of_kind(types, "full_attention");
  const std::size_t some = first_of_kind(types, "sliding_attention");
  const auto kv_heads = metadata.need_counts(".attention.head_count_kv");
  config["global_head_dim"] = config["head_dim"];
  config["head_dim"] = metadata.need_count(".attention.key_length_swa");
  config["num_key_value_heads"] = kv_heads[some];
  config["num_global_key_value_heads"] = kv_heads[all];
  config["attention_k_eq_v"] = !source.has("blk." + std::to_string(all) + ".attn_v.weight");
}

void add_rope(const GgufSource& source, Json& config) {
  const double theta = config["rope_theta"];
  const double local = source.metadata.real(".rope.freq_base_swa").value_or(10000.0);
  config.erase("rope_scaling");
  config["rope_parameters"] = {
      {"full_attention",
       {{"rope_type", "proportional"},
        {"rope_theta", theta},
        {"partial_rotary_factor", turning_part(source)}}},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", local}}}};
}

void add_feed_forwards(const GgufSource& source, Json& config) {
  const GgufMetadata& metadata = source.metadata;
  const auto sizes = metadata.need_counts(".feed_forward_length");
  config["use_double_wide_mlp"] = std::ranges::max(sizes) == 2 * std::ranges::min(sizes);
  if (metadata.count(".expert_count").value_or(0) == 0) return;
  config["enable_moe_block"] = true;
  config["num_experts"] = metadata.need_count(".expert_count");
  config["top_k_experts"] = metadata.need_count(".expert_used_count");
  config["moe_intermediate_size"] = metadata.need_count(".expert_feed_forward_length");
}

}  // namespace

void config_from_gguf_gemma4(const GgufSource& source, Json& config) {
  const GgufMetadata& metadata = source.metadata;
  constexpr const char* kPattern = ".attention.sliding_window_pattern";
  if (!config.contains("layer_types") ||
      config["layer_types"].size() != config["num_hidden_layers"]) {
    fail("GGUF metadata key {} is not a flag for each layer", quote(metadata.full(kPattern)));
  }
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["num_kv_shared_layers"] = metadata.count(".attention.shared_kv_layers").value_or(0);
  config["hidden_size_per_layer_input"] =
      metadata.count(".embedding_length_per_layer_input").value_or(0);
  config["vocab_size_per_layer_input"] = config["vocab_size"];
  add_heads(source, config);
  add_rope(source, config);
  add_feed_forwards(source, config);
  if (const auto cap = metadata.real(".final_logit_softcapping")) {
    config["final_logit_softcapping"] = *cap;
  }
}

}  // namespace initrt
