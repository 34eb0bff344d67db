// DeepSeek-V3 and R1 (DeepSeek-AI 2024, arXiv:2412.19437), and what has their core, as Kimi K2
// (Moonshot AI 2025, arXiv:2507.20534) and the text model of K2.5 do: latent attention, and experts
// chosen from groups; and GLM-4.7-Flash, whose experts are in one.
#include <algorithm>
#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// What looks at images in Kimi K2.5.
constexpr std::string_view kUnread[] = {"vision_tower.", "mm_projector."};

// Defaults are those of transformers' config classes (configuration_deepseek_v3.py,
// configuration_glm4_moe_lite.py).
constexpr CorrectedExpertsDefaults kDeepseekExperts = {2.5, 8, 4, 3};
constexpr CorrectedExpertsDefaults kLiteExperts = {1.8, 1, 1, 1};

DecoderSpec read_deepseek(const ConfigReader& config, const char* family, double epsilon,
                          const CorrectedExpertsDefaults& experts) {
  SizeKeys keys;
  keys.head_size = "qk_rope_head_dim";
  DecoderSpec spec = read_sizes(config, family, keys);
  spec.epsilon = static_cast<float>(config.positive_or("rms_norm_eps", epsilon));
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  read_latent(config, spec);
  read_corrected_experts(config, spec, experts);
  spec.hf_names.further_blocks = true;
  return spec;
}

}  // namespace

Graph build_deepseek_v3(const nlohmann::json& json) {
  const ConfigReader config(json);
  if (const std::string scores = config.text_or("scoring_func", "sigmoid"); scores != "sigmoid") {
    fail("model config: scoring_func is {}: expected sigmoid", quote(scores));
  }
  DecoderSpec spec = read_deepseek(config, "deepseek_v3", 1e-6, kDeepseekExperts);
  spec.hf_names.unread = kUnread;
  return build_decoder(spec);
}

Graph build_glm4_moe_lite(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_deepseek(config, "glm4_moe_lite", 1e-5, kLiteExperts);
  if (config.has("mlp_layer_types")) {
    const nlohmann::json& types = config.at("mlp_layer_types");
    if (!types.is_array() || types.size() != spec.layers.size()) {
      fail("model config: mlp_layer_types is not a list of {} layers", spec.layers.size());
    }
    for (std::size_t layer = 0; layer < spec.layers.size(); ++layer) {
      spec.layers[layer].experts = types[layer] == "sparse";
    }
  }
  return build_decoder(spec);
}

}  // namespace initrt
