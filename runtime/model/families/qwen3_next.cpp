// Qwen3-Next (Qwen Team 2025): gated delta nets in three of four layers, attention that is gated in
// the fourth, experts beside a gated shared one; Qwen3.5 (Qwen Team 2026): the same with other
// products of the delta net apart, dense or with experts. Of Qwen3.5, which sees, the text model.
#include <array>
#include <string>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::array kModules = {
    NamePair{"mlp.shared_experts.gate_proj", "mlp.shared_expert.gate_proj"},
    NamePair{"mlp.shared_experts.up_proj", "mlp.shared_expert.up_proj"},
    NamePair{"mlp.shared_experts.down_proj", "mlp.shared_expert.down_proj"},
};
// Blocks that guess further tokens, and what looks at images.
constexpr std::string_view kUnread[] = {"mtp.", "visual."};

DecoderSpec read_hybrid(const ConfigReader& config, const char* family) {
  DecoderSpec spec = read_sizes(config, family);
  spec.epsilon = static_cast<float>(config.positive_or("rms_norm_eps", 1e-6));
  RotaryKeys rotary;
  rotary.partial = 0.25;
  spec.rotary = {read_rotary(config, spec.head_size, spec.context, rotary)};
  spec.norm_offset = 1.0f;
  spec.qk_norm = QkNorm::Heads;
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  if (!config.flag_or("attn_output_gate", true)) {
    fail("model config: attn_output_gate is false, which is not known here");
  }
  spec.gated_attention = true;
  if (const std::string function = config.text_or("hidden_act", "silu"); function != "silu") {
    fail("model config: hidden_act is {}, expected silu beside gated delta nets", function);
  }
  read_delta(config, spec);
  spec.hf_names.table = {{}, "model.layers.", kModules};
  spec.hf_names.gates_behind_queries = true;
  spec.hf_names.unread = kUnread;
  spec.hf_names.further_blocks = true;  // as GGUF files have them
  return spec;
}

void read_shared_experts(const ConfigReader& config, DecoderSpec& spec) {
  constexpr std::uint64_t kMax = 1u << 20;
  ExpertsSpec& experts = spec.experts;
  // Published configs have the first key, those that transformers 5 writes may have the second.
  read_experts(config, spec, config.has("num_experts") ? "num_experts" : "num_local_experts");
  experts.intermediate = config.whole("moe_intermediate_size", 1, kMax);
  experts.shared = config.whole("shared_expert_intermediate_size", 1, kMax);
  experts.shared_gate = true;
}

}  // namespace

Graph build_qwen3_next(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_hybrid(config, "qwen3_next");
  read_shared_experts(config, spec);
  spec.experts.routing.normalize = config.flag_or("norm_topk_prob", true);
  read_sparse_layers(config, spec);
  spec.hf_names.delta = DeltaForm::ByKeyHead;
  return build_decoder(spec);
}

Graph build_qwen3_5(const nlohmann::json& json) {
  const ConfigReader config(json);
  (void)config.at("intermediate_size");
  return build_decoder(read_hybrid(config, "qwen3_5"));
}

Graph build_qwen3_5_moe(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_hybrid(config, "qwen3_5_moe");
  read_shared_experts(config, spec);
  for (LayerSpec& layer : spec.layers) layer.experts = true;
  spec.hf_names.experts = ExpertsForm::Stacked;
  return build_decoder(spec);
}

}  // namespace initrt
