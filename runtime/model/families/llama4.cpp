// Llama 4 (Meta 2025), of which the text model: attention within parts of a sequence in three of
// four layers, over all of it and without positions in the fourth; heads of Q and K normalised
// without weights; experts that are told how much they count by their inputs, beside a shared one.
#include <algorithm>
#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::array kModules = {
    NamePair{"mlp.gate_proj", "feed_forward.gate_proj"},
    NamePair{"mlp.up_proj", "feed_forward.up_proj"},
    NamePair{"mlp.down_proj", "feed_forward.down_proj"},
    NamePair{"mlp.gate", "feed_forward.router"},
    NamePair{"mlp.experts.*.gate_proj", "feed_forward.experts.*.gate_proj"},
    NamePair{"mlp.experts.*.up_proj", "feed_forward.experts.*.up_proj"},
    NamePair{"mlp.experts.*.down_proj", "feed_forward.experts.*.down_proj"},
    NamePair{"mlp.shared_experts.gate_proj", "feed_forward.shared_expert.gate_proj"},
    NamePair{"mlp.shared_experts.up_proj", "feed_forward.shared_expert.up_proj"},
    NamePair{"mlp.shared_experts.down_proj", "feed_forward.shared_expert.down_proj"},
};
// What looks at images.
constexpr std::string_view kUnread[] = {"vision_model.", "multi_modal_projector."};

// A flag that the first configs have as a number.
bool flag_or_number(const ConfigReader& config, std::string_view key, bool fallback) {
  if (config.has(key) && config.at(key).is_number_integer()) return config.at(key) != 0;
  return config.flag_or(key, fallback);
}

// Queries of layers without positions grow with theirs.
void read_steps(const ConfigReader& config, DecoderSpec& spec) {
  if (!flag_or_number(config, "attn_temperature_tuning", true)) return;
  constexpr const char* kFactor = "attn_scale";
  constexpr double kMost = 1e6;  // scores are multiplied by it
  const double factor = config.positive_or(kFactor, 0.1);
  if (factor > kMost) fail("model config: {} is {}, the most is {}", kFactor, factor, kMost);
  RotarySpec still;
  still.dimensions = spec.head_size;
  still.frequencies.assign(spec.head_size / 2, 0.0f);
  still.step = config.whole_or("floor_scale", 8192, 1, kMaxContext);
  still.step_factor = static_cast<float>(factor);
  still.first_step = 1;
  spec.rotary.push_back(std::move(still));
  for (LayerSpec& layer : spec.layers) {
    if (!layer.rotary) layer.query_rotary = 1;
  }
}

void read_expert_layers(const ConfigReader& config, DecoderSpec& spec) {
  constexpr const char* kLayers = "moe_layers";
  const auto count = static_cast<std::uint32_t>(spec.layers.size());
  if (config.has(kLayers)) {
    const nlohmann::json& layers = config.at(kLayers);
    if (!layers.is_array()) fail("model config: {} is not a list", kLayers);
    for (std::uint32_t layer = 0; layer < count; ++layer) {
      spec.layers[layer].experts = std::find(layers.begin(), layers.end(), layer) != layers.end();
    }
    return;
  }
  const std::uint64_t step = config.whole_or("interleave_moe_layer_step", 1, 1, 4096);
  for (std::uint32_t layer = 0; layer < count; ++layer) {
    spec.layers[layer].experts = (layer + 1) % step == 0;
  }
}

void read_own_experts(const ConfigReader& config, DecoderSpec& spec) {
  read_experts(config, spec, "num_local_experts");
  ExpertsSpec& experts = spec.experts;
  experts.intermediate = experts.shared = config.whole("intermediate_size", 1, 1u << 20);
  experts.routing.score = RouteScore::Sigmoid;
  experts.routing.normalize = false;
  experts.weigh_inputs = true;
  read_expert_layers(config, spec);
}

}  // namespace

Graph build_llama4(const nlohmann::json& json) {
  const ConfigReader config(json);
  SizeKeys keys;
  keys.intermediate = "intermediate_size_mlp";
  RotaryKeys rotary;
  rotary.theta = 500000;
  DecoderSpec spec = read_llama_like(config, "llama4", keys, rotary, 1e-5);
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  read_layers_without_positions(config, spec);
  read_chunks(config, spec);
  if (config.flag_or("use_qk_norm", true)) {
    spec.qk_norm = QkNorm::Heads;
    spec.qk_norm_weights = false;
    spec.qk_norm_rotated = true;
    for (LayerSpec& layer : spec.layers) layer.qk_norm = layer.rotary.has_value();
  }
  read_steps(config, spec);
  read_own_experts(config, spec);
  spec.hf_names.table = {{}, "model.layers.", kModules};
  spec.hf_names.rotary_interleaved = true;
  spec.hf_names.experts = ExpertsForm::Transposed;
  spec.hf_names.gate_up_of_all = "feed_forward.experts.gate_up_proj";
  spec.hf_names.down_of_all = "feed_forward.experts.down_proj";
  spec.hf_names.unread = kUnread;
  return build_decoder(spec);
}

}  // namespace initrt
