// Granite 3 (IBM 2024): LLaMA with multipliers on the embedding, attention, residuals and logits.
#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {

Graph build_granite(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_llama_like(config, "granite");
  read_granite_choices(config, spec);
  spec.mlp_bias = config.flag_or("mlp_bias", false);
  return build_decoder(spec);
}

}  // namespace initrt
