// Nemotron-H and Nemotron 3 (NVIDIA 2025, arXiv:2504.03624): layers that are one of Mamba 2's,
// attention without positions, a feed-forward and experts, each behind one norm.
#include <array>
#include <nlohmann/json.hpp>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"
#include "sharding/checkpoint/checked_json.h"

namespace initrt {
namespace {

constexpr std::uint64_t kMaxWidth = 1u << 20;

constexpr std::array kGlobal = {
    NamePair{"model.embed_tokens.weight", "backbone.embeddings.weight"},
    NamePair{"model.norm.weight", "backbone.norm_f.weight"},
};
constexpr std::array kModules = {
    NamePair{"input_layernorm", "norm"},
    NamePair{"post_attention_layernorm", "norm"},
    NamePair{"self_attn.q_proj", "mixer.q_proj"},
    NamePair{"self_attn.k_proj", "mixer.k_proj"},
    NamePair{"self_attn.v_proj", "mixer.v_proj"},
    NamePair{"self_attn.o_proj", "mixer.o_proj"},
    NamePair{"mamba", "mixer"},
    NamePair{"mamba.in_proj", "mixer.in_proj"},
    NamePair{"mamba.conv1d", "mixer.conv1d"},
    NamePair{"mamba.norm", "mixer.norm"},
    NamePair{"mamba.out_proj", "mixer.out_proj"},
    NamePair{"mlp.up_proj", "mixer.up_proj"},
    NamePair{"mlp.down_proj", "mixer.down_proj"},
    NamePair{"mlp.gate", "mixer.gate"},
    NamePair{"mlp.latent_in_proj", "mixer.fc1_latent_proj"},
    NamePair{"mlp.latent_out_proj", "mixer.fc2_latent_proj"},
    NamePair{"mlp.experts.*.up_proj", "mixer.experts.*.up_proj"},
    NamePair{"mlp.experts.*.down_proj", "mixer.experts.*.down_proj"},
    NamePair{"mlp.shared_experts.up_proj", "mixer.shared_experts.up_proj"},
    NamePair{"mlp.shared_experts.down_proj", "mixer.shared_experts.down_proj"},
};
constexpr std::string_view kUnread[] = {"mtp."};  // what guesses further tokens

// What each layer is: 'M', '*', '-' or 'E'.
std::string layers_of(const ConfigReader& config) {
  constexpr const char* kPattern = "hybrid_override_pattern";
  for (const char* key : {"layers_block_type", "layer_types"}) {
    if (!config.has(key)) continue;
    constexpr std::array kKinds = {NamePair{"mamba", "M"},     NamePair{"linear_attention", "M"},
                                   NamePair{"attention", "*"}, NamePair{"full_attention", "*"},
                                   NamePair{"mlp", "-"},       NamePair{"moe", "E"}};
    std::string layers;
    for (const std::string_view layer : read_layer_list(config, key, kKinds)) layers += layer;
    return layers;
  }
  (void)config.at(kPattern);
  std::string layers = config.text_or(kPattern, "");
  if (layers.find_first_not_of("M*-E") != std::string::npos) {
    fail("model config: {} is {}, expected a letter for each layer: M, *, - or E", kPattern,
         quote(layers));
  }
  return layers;
}

void read_layer(char kind, LayerSpec& layer) {
  layer.rotary.reset();
  layer.mixes = kind == 'M' || kind == '*';
  layer.feeds = !layer.mixes;
  layer.state_space = kind == 'M';
  layer.experts = kind == 'E';
}

}  // namespace

Graph build_nemotron_h(const nlohmann::json& json) {
  const ConfigReader config(json);
  const std::string layers = layers_of(config);
  // The number of layers may be left out: the list has it.
  nlohmann::json counted = json;
  counted["num_hidden_layers"] = layers.size();
  SizeKeys keys;
  keys.function = "mlp_hidden_act";
  keys.function_fallback = "relu2";
  DecoderSpec spec = read_sizes(ConfigReader(counted), "nemotron_h", keys);
  spec.epsilon = static_cast<float>(config.positive_or("layer_norm_epsilon", 1e-5));
  // None is used, but GGUF files interleave the halves of heads.
  spec.rotary = {read_rotary(config, spec.head_size, spec.context)};
  spec.gated = false;
  spec.mlp_bias = config.flag_or("mlp_bias", false);
  refuse_flags(config, {"attention_bias"});
  if (layers.find('M') != std::string::npos) {
    read_state_space(config, spec,
                     {.groups = "n_groups",
                      .heads = "mamba_num_heads",
                      .state_size = "ssm_state_size",
                      .head_size = "mamba_head_dim",
                      .taps = "conv_kernel",
                      .convolution_bias = "use_conv_bias",
                      .bias = "use_bias",
                      .function = "mamba_hidden_act"});
  }
  if (layers.find('E') != std::string::npos) {
    read_corrected_experts(config, spec);
    constexpr const char* kShared = "moe_shared_expert_intermediate_size";
    spec.experts.shared = config.whole(kShared, 1, kMaxWidth);
    spec.experts.latent = config.whole_or("moe_latent_size", 0, 1, kMaxWidth);
  }
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    read_layer(layers[layer], spec.layers[layer]);
  }
  spec.hf_names.table = {kGlobal, "backbone.layers.", kModules};
  spec.hf_names.base_prefix = "backbone.";
  spec.hf_names.unread = kUnread;
  spec.hf_names.further_blocks = true;  // as GGUF files have them
  return build_decoder(spec);
}

}  // namespace initrt
