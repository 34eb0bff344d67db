// Qwen2 and Qwen2.5 (Yang et al. 2024, arXiv:2407.10671): LLaMA with biases on Q, K and V; Qwen3
// (Yang et al. 2025, arXiv:2505.09388): without them, heads of Q and K normalised; and its experts.
#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {
namespace {

// Layers from max_window_layers on see a window, if use_sliding_window is set.
void read_qwen_windows(const ConfigReader& config, DecoderSpec& spec, std::uint64_t first) {
  if (!config.flag_or("use_sliding_window", false)) return;
  read_windows(config, spec, 4096, [&](std::uint32_t layer) { return layer >= first; });
}

DecoderSpec read_qwen3(const ConfigReader& config, const char* family) {
  DecoderSpec spec = read_llama_like(config, family);
  spec.qk_norm = QkNorm::Heads;
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  return spec;
}

}  // namespace

Graph build_qwen2(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_llama_like(config, "qwen2");
  spec.qkv_bias = true;
  read_qwen_windows(config, spec, config.whole_or("max_window_layers", 28, 0, 4096));
  return build_decoder(spec);
}

Graph build_qwen3(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_qwen3(config, "qwen3");
  read_qwen_windows(config, spec, config.whole_or("max_window_layers", 28, 0, 4096));
  return build_decoder(spec);
}

Graph build_qwen3_moe(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_qwen3(config, "qwen3_moe");
  read_qwen_windows(config, spec, 0);
  // Published configs have the first key, those that transformers 5 writes the second.
  read_experts(config, spec, config.has("num_experts") ? "num_experts" : "num_local_experts");
  spec.experts.intermediate = config.whole("moe_intermediate_size", 1, 1u << 20);
  spec.experts.routing.normalize = config.flag_or("norm_topk_prob", false);
  read_sparse_layers(config, spec);
  return build_decoder(spec);
}

}  // namespace initrt
