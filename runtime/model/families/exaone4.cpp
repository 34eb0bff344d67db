// EXAONE 4 (LG AI Research 2025, arXiv:2507.11407): norms behind attention and feed-forward, heads
// of Q and K normalised; in the larger model windows, and no positions in layers that see all.
#include <string>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// Letters for the layers in turn, L for those with a window; or which layers have none.
bool slides(const ConfigReader& config, std::uint32_t layer) {
  constexpr const char* kKey = "sliding_window_pattern";
  if (!config.has(kKey) || !config.at(kKey).is_string()) {
    return (layer + 1) % config.whole_or(kKey, 4, 1, 4096) != 0;
  }
  const auto letters = config.at(kKey).get<std::string>();
  if (letters.empty() || letters.find_first_not_of("LG") != std::string::npos) {
    fail("model config: {} is not made of L and G", kKey);
  }
  return letters[layer % letters.size()] == 'L';
}

}  // namespace

Graph build_exaone4(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_llama_like(config, "exaone4", {}, {}, 1e-5);
  spec.residual = Residual::PostNorm;
  spec.qk_norm = QkNorm::Heads;
  read_windows(config, spec, 4096, [&](std::uint32_t layer) { return slides(config, layer); });
  for (LayerSpec& layer : spec.layers) {
    if (layer.window == 0 && !config.is_null("sliding_window")) layer.rotary.reset();
  }
  return build_decoder(spec);
}

}  // namespace initrt
