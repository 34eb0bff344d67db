// gpt-oss (OpenAI 2025, arXiv:2508.10925): experts in all layers, windows in every second one, and
// a learned sink for each head.
#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::array kModules = {NamePair{"mlp.gate", "mlp.router"}};

}  // namespace

Graph build_gpt_oss(const nlohmann::json& json) {
  const ConfigReader config(json);
  RotaryKeys rotary;
  rotary.theta = 150000;
  DecoderSpec spec = read_llama_like(config, "gpt_oss", {}, rotary, 1e-5);
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", true);
  spec.sinks = true;
  read_windows(config, spec, 128, [](std::uint32_t layer) { return layer % 2 == 0; });
  read_experts(config, spec, "num_local_experts");
  spec.experts.intermediate = spec.intermediate;
  spec.experts.router_bias = spec.experts.bias = true;
  for (LayerSpec& layer : spec.layers) layer.experts = true;
  // The function that "silu" stands for here is x times the sigmoid of 1.702 x.
  if (config.positive_or("swiglu_alpha", 1.702) != 1.702) {
    fail("model config: swiglu_alpha is not 1.702: not known here");
  }
  spec.function = GateFunction::QuickGelu;
  spec.gate_limit = static_cast<float>(config.positive_or("swiglu_limit", 7.0));
  spec.up_offset = 1.0f;
  spec.hf_names.table = {{}, "model.layers.", kModules};
  spec.hf_names.experts = ExpertsForm::Interleaved;
  return build_decoder(spec);
}

}  // namespace initrt
