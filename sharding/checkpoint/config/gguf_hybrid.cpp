// Keys are those of llama.cpp's converters (conversion/granite.py, nemotron.py, mamba.py).
#include "sharding/checkpoint/config/gguf_hybrid.h"

#include <nlohmann/json.hpp>

namespace initrt {
namespace {

using Json = nlohmann::json;

constexpr const char* kKvHeads = ".attention.head_count_kv";
constexpr const char* kFeedForward = ".feed_forward_length";

// Whether the first layer of a kind has a tensor; false where there is none of it.
bool has(const GgufSource& source, const Json& kinds, const char* kind, const char* tensor) {
  for (std::size_t layer = 0; layer < kinds.size(); ++layer) {
    if (kinds[layer] == kind) return source.has(fmt::format("blk.{}.{}", layer, tensor));
  }
  return false;
}

std::uint64_t space_head_size(const GgufMetadata& metadata) {
  const std::uint64_t inner = metadata.need_count(".ssm.inner_size");
  const std::uint64_t heads = metadata.need_count(".ssm.time_step_rank");
  if (inner % heads != 0) {
    fail("GGUF metadata: {} heads of state spaces over {} elements", heads, inner);
  }
  return inner / heads;
}

}  // namespace

bool is_gguf_hybrid(std::string_view architecture) {
  return architecture == "granitehybrid" || architecture.starts_with("nemotron_h");
}

std::uint64_t hybrid_count(const GgufMetadata& metadata, std::string_view key) {
  std::uint64_t most = 0;
  for (const std::uint64_t number : metadata.by_layer(key)) {
    if (number == 0 || number == most) continue;
    if (most != 0) {
      fail("GGUF metadata key {} is {} in one layer and {} in another: not supported",
           quote(metadata.full(key)), most, number);
    }
    most = number;
  }
  if (most == 0) fail("GGUF metadata key {} is 0 in all layers", quote(metadata.full(key)));
  return most;
}

void add_granite_hybrid(const GgufSource& source, Json& config) {
  const GgufMetadata& metadata = source.metadata;
  Json& kinds = config["layer_types"] = Json::array();
  for (const std::uint64_t heads : metadata.by_layer(kKvHeads)) {
    kinds.push_back(heads > 0 ? "attention" : "mamba");
  }
  const bool rotated = metadata.flag(".rope.scaling.finetuned").value_or(true);
  config["position_embedding_type"] = rotated ? "rope" : "nope";
  config["attention_bias"] = has(source, kinds, "attention", "attn_q.bias");
  config["mamba_n_groups"] = metadata.need_count(".ssm.group_count");
  config["mamba_n_heads"] = metadata.need_count(".ssm.time_step_rank");
  config["mamba_d_state"] = metadata.need_count(".ssm.state_size");
  config["mamba_d_head"] = space_head_size(metadata);
  config["mamba_d_conv"] = metadata.need_count(".ssm.conv_kernel");
  config["mamba_expand"] =
      metadata.need_count(".ssm.inner_size") / metadata.need_count(".embedding_length");
  config["mamba_conv_bias"] = has(source, kinds, "mamba", "ssm_conv1d.bias");
  config["mamba_proj_bias"] = has(source, kinds, "mamba", "ssm_in.bias");
}

void add_nemotron_h(const GgufSource& source, Json& config) {
  const GgufMetadata& metadata = source.metadata;
  const bool experts = metadata.count(".expert_count").value_or(0) > 0;
  const std::vector<std::uint64_t> heads = metadata.by_layer(kKvHeads);
  const std::vector<std::uint64_t> feeds = metadata.by_layer(kFeedForward);
  // Blocks that guess further tokens are counted with the others, behind them.
  const std::uint64_t further = metadata.count(".nextn_predict_layers").value_or(0);
  Json& kinds = config["layers_block_type"] = Json::array();
  for (std::size_t layer = 0; layer + further < heads.size(); ++layer) {
    kinds.push_back(heads[layer] > 0       ? "attention"
                    : feeds.at(layer) == 0 ? "mamba"
                    : experts              ? "moe"
                                           : "mlp");
  }
  config["mlp_hidden_act"] = "relu2";
  config["layer_norm_epsilon"] = config.value("rms_norm_eps", 1e-5);
  config["attention_bias"] = has(source, kinds, "attention", "attn_q.bias");
  config["mlp_bias"] =
      has(source, kinds, "mlp", "ffn_up.bias") || has(source, kinds, "moe", "ffn_up_shexp.bias");
  config["n_groups"] = metadata.need_count(".ssm.group_count");
  config["mamba_num_heads"] = metadata.need_count(".ssm.time_step_rank");
  config["ssm_state_size"] = metadata.need_count(".ssm.state_size");
  config["mamba_head_dim"] = space_head_size(metadata);
  config["conv_kernel"] = metadata.need_count(".ssm.conv_kernel");
  config["use_conv_bias"] = has(source, kinds, "mamba", "ssm_conv1d.bias");
  config["use_bias"] = has(source, kinds, "mamba", "ssm_in.bias");
}

void add_delta_net(const GgufSource& source, Json& config) {
  const GgufMetadata& metadata = source.metadata;
  config["linear_num_key_heads"] = metadata.need_count(".ssm.group_count");
  config["linear_num_value_heads"] = metadata.need_count(".ssm.time_step_rank");
  config["linear_key_head_dim"] = metadata.need_count(".ssm.state_size");
  config["linear_value_head_dim"] = space_head_size(metadata);
  config["linear_conv_kernel_dim"] = metadata.need_count(".ssm.conv_kernel");
  config["full_attention_interval"] = metadata.count(".full_attention_interval").value_or(4);
  constexpr const char* kKey = ".attention.recurrent_layers";
  const Json* const recurrent = metadata.find(kKey);
  if (recurrent == nullptr) return;
  if (!recurrent->is_array()) {
    fail("GGUF metadata key {} is not a list of flags", quote(metadata.full(kKey)));
  }
  Json& types = config["layer_types"] = Json::array();
  for (std::size_t layer = 0; layer < config["num_hidden_layers"]; ++layer) {
    const bool flag = layer < recurrent->size() && (*recurrent)[layer] == true;
    types.push_back(flag ? "linear_attention" : "full_attention");
  }
}

}  // namespace initrt
