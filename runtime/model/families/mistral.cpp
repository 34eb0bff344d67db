// Mistral (Jiang et al. 2023, arXiv:2310.06825): LLaMA whose attention sees a sliding window; and
// Mixtral (Jiang et al. 2024, arXiv:2401.04088), whose feed-forwards are experts. Ministral 3
// (Mistral AI 2025): YaRN, and queries that grow with their position.
#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {
namespace {

constexpr std::array kMixtralModules = {
    NamePair{"mlp.gate", "block_sparse_moe.gate"},
    NamePair{"mlp.experts.*.gate_proj", "block_sparse_moe.experts.*.w1"},
    NamePair{"mlp.experts.*.up_proj", "block_sparse_moe.experts.*.w3"},
    NamePair{"mlp.experts.*.down_proj", "block_sparse_moe.experts.*.w2"},
};

bool every_layer(std::uint32_t) { return true; }

}  // namespace

Graph build_mistral(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_llama_like(config, "mistral");
  read_windows(config, spec, 4096, every_layer);
  return build_decoder(spec);
}

Graph build_ministral3(const nlohmann::json& json) {
  const ConfigReader config(json);
  RotaryKeys keys, queries;
  keys.theta = queries.theta = 1e6;
  queries.by_position = true;
  DecoderSpec spec = read_llama_like(config, "ministral3", {}, keys, 1e-5);
  spec.rotary.push_back(read_rotary(config, spec.head_size, spec.context, queries));
  for (LayerSpec& layer : spec.layers) layer.query_rotary = 1;
  read_windows(config, spec, 0, every_layer);
  return build_decoder(spec);
}

Graph build_mixtral(const nlohmann::json& json) {
  const ConfigReader config(json);
  RotaryKeys rotary;
  rotary.theta = 1e6;
  DecoderSpec spec = read_llama_like(config, "mixtral", {}, rotary, 1e-5);
  read_windows(config, spec, 0, every_layer);
  read_experts(config, spec, "num_local_experts");
  spec.experts.intermediate = spec.intermediate;
  for (LayerSpec& layer : spec.layers) layer.experts = true;
  spec.hf_names.table = {{}, "model.layers.", kMixtralModules};
  return build_decoder(spec);
}

}  // namespace initrt
