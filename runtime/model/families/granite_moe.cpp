// Granite's models with experts, and Granite 4 (IBM 2025): Mamba 2's layers between some of
// attention, or attention alone; experts beside a shared feed-forward, or that alone.
#include <algorithm>
#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {
namespace {

constexpr std::uint64_t kMaxWidth = 1u << 20;

constexpr std::array kWithExperts = {
    NamePair{"mlp.gate", "block_sparse_moe.router.layer"},
    NamePair{"mlp.shared_experts.gate_proj", "shared_mlp.input_linear"},
    NamePair{"mlp.shared_experts.up_proj", "shared_mlp.input_linear"},
    NamePair{"mlp.shared_experts.down_proj", "shared_mlp.output_linear"},
};
// What is shared is then all there is.
constexpr std::array kDense = {
    NamePair{"mlp.gate_proj", "shared_mlp.input_linear"},
    NamePair{"mlp.up_proj", "shared_mlp.input_linear"},
    NamePair{"mlp.down_proj", "shared_mlp.output_linear"},
};

void read_granite_experts(const ConfigReader& config, DecoderSpec& spec) {
  read_experts(config, spec, "num_local_experts");
  spec.experts.intermediate = config.whole("intermediate_size", 1, kMaxWidth);
  spec.experts.routing.normalize = true;
  for (LayerSpec& layer : spec.layers) layer.experts = true;
  spec.hf_names.table = {{}, "model.layers.", kWithExperts};
  spec.hf_names.experts = ExpertsForm::Stacked;
  spec.hf_names.gate_up_of_all = "block_sparse_moe.input_linear.weight";
  spec.hf_names.down_of_all = "block_sparse_moe.output_linear.weight";
}

DecoderSpec read_with_experts(const ConfigReader& config, const char* family) {
  DecoderSpec spec = read_llama_like(config, family);
  read_granite_choices(config, spec);
  read_granite_experts(config, spec);
  return spec;
}

// The layers that are Mamba 2's, and their sizes where there are any.
void read_hybrid_layers(const ConfigReader& config, DecoderSpec& spec) {
  constexpr std::array kKinds = {NamePair{"mamba", "mamba"}, NamePair{"linear_attention", "mamba"},
                                 NamePair{"attention", "attention"},
                                 NamePair{"full_attention", "attention"}};
  const auto layers = config.has("layer_types")
                          ? read_layer_list(config, "layer_types", kKinds)
                          : std::vector<std::string_view>(spec.layers.size(), "mamba");
  if (layers.size() != spec.layers.size()) {
    fail("model config: layer_types is not a list of {} layers", spec.layers.size());
  }
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    spec.layers[layer].state_space = layers[layer] == "mamba";
  }
  if (std::ranges::find(layers, "mamba") == layers.end()) return;
  const std::uint64_t heads = config.whole("mamba_n_heads", 1, 4096);
  const std::uint64_t inner = config.whole_or("mamba_expand", 2, 1, 64) * spec.hidden;
  read_state_space(config, spec,
                   {.groups = "mamba_n_groups",
                    .heads = "mamba_n_heads",
                    .state_size = "mamba_d_state",
                    .head_size = "mamba_d_head",
                    .taps = "mamba_d_conv",
                    .convolution_bias = "mamba_conv_bias",
                    .bias = "mamba_proj_bias",
                    .function = "hidden_act"},
                   inner / heads);
  if (spec.state_space.inner() != inner) {
    fail("model config: {} heads of {} elements are not mamba_expand x hidden_size, {}", heads,
         spec.state_space.head_size, inner);
  }
}

}  // namespace

Graph build_granitemoe(const nlohmann::json& json) {
  return build_decoder(read_with_experts(ConfigReader(json), "granitemoe"));
}

Graph build_granitemoeshared(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_with_experts(config, "granitemoeshared");
  spec.experts.shared = config.whole_or("shared_intermediate_size", 1024, 0, kMaxWidth);
  return build_decoder(spec);
}

Graph build_granitemoehybrid(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_sizes(config, "granitemoehybrid");
  spec.epsilon = static_cast<float>(config.positive_or("rms_norm_eps", 1e-6));
  read_granite_choices(config, spec);
  // GGUF files interleave the halves of heads that are not rotated too.
  spec.rotary = {read_rotary(config, spec.head_size, spec.context)};
  if (config.text_or("position_embedding_type", "nope") != "rope") {
    for (LayerSpec& layer : spec.layers) layer.rotary.reset();
  }
  read_hybrid_layers(config, spec);
  const std::uint64_t shared = config.whole_or("shared_intermediate_size", 1024, 1, kMaxWidth);
  if (config.whole_or("num_local_experts", 8, 0, 4096) > 0) {
    read_granite_experts(config, spec);
    spec.experts.shared = shared;
  } else {
    spec.intermediate = shared;
    spec.hf_names.table = {{}, "model.layers.", kDense};
  }
  return build_decoder(spec);
}

}  // namespace initrt
