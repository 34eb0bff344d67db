// Configs of models with Mamba 2's layers.
#include <algorithm>
#include <cmath>

#include "runtime/model/decoder_config.h"
#include "sharding/checkpoint/checked_json.h"

namespace initrt {
namespace {

// Steps may have bounds, which programs disagree about: prefill has them, decoding has not.
void refuse_step_limits(const ConfigReader& config) {
  constexpr const char* kKey = "time_step_limit";
  if (!config.has(kKey)) return;
  const nlohmann::json& limits = config.at(kKey);
  // transformers 5 writes Infinity as an object, others as a number.
  const bool open =
      limits.is_array() && limits.size() == 2 && limits[0].is_number() && limits[0] == 0 &&
      (limits[1].is_object() || (limits[1].is_number() && std::isinf(limits[1].get<double>())));
  if (!open) {
    fail("model config: {} is {}, expected from 0 to Infinity", kKey, printable(limits.dump()));
  }
}

}  // namespace

void read_state_space(const ConfigReader& config, DecoderSpec& spec, const StateSpaceKeys& keys,
                      std::uint64_t head_size) {
  constexpr std::uint64_t kMostHeads = 4096, kMostHead = 512;
  constexpr std::uint64_t kMostState = 256, kMostTaps = 8;  // of the kernels
  const auto size = [&](std::string_view key, std::uint64_t least, std::uint64_t most) {
    return static_cast<std::uint32_t>(config.whole(key, least, most));
  };
  StateSpaceSizes& sizes = spec.state_space;
  sizes.groups = size(keys.groups, 1, kMostHeads);
  sizes.heads = size(keys.heads, 1, kMostHeads);
  sizes.state_size = size(keys.state_size, 1, kMostState);
  sizes.taps = size(keys.taps, 2, kMostTaps);
  const bool given = config.has(keys.head_size) && config.at(keys.head_size).is_number();
  if (!given && (head_size == 0 || head_size > kMostHead)) {
    (void)config.at(keys.head_size);
    fail("model config: {} is not a number from 1 to {}", keys.head_size, kMostHead);
  }
  sizes.head_size =
      given ? size(keys.head_size, 1, kMostHead) : static_cast<std::uint32_t>(head_size);
  if (sizes.heads % sizes.groups != 0) {
    fail("model config: {} ({}) is not a multiple of {} ({})", keys.heads, sizes.heads, keys.groups,
         sizes.groups);
  }
  spec.convolution_bias = config.flag_or(keys.convolution_bias, true);
  spec.state_space_bias = config.flag_or(keys.bias, false);
  if (const std::string function = config.text_or(keys.function, "silu");
      function != "silu" && function != "swish") {
    fail("model config: {} is {}, expected silu before a state space", keys.function,
         quote(function));
  }
  refuse_step_limits(config);
}

std::vector<std::string_view> read_layer_list(const ConfigReader& config, std::string_view key,
                                              std::span<const NamePair> known) {
  const nlohmann::json& list = config.at(key);
  if (!list.is_array()) fail("model config: {} is not a list", key);
  std::vector<std::string_view> layers;
  for (const nlohmann::json& layer : list) {
    const std::string name = layer.is_string() ? layer.get<std::string>() : "";
    const auto found = std::ranges::find(known, name, &NamePair::first);
    if (found == known.end()) {
      std::string expected;
      for (const NamePair& pair : known) {
        expected.append(expected.empty() ? "" : ", ").append(pair.first);
      }
      fail("model config: {} has {}, expected one of: {}", key, quote(name), expected);
    }
    layers.push_back(found->second);
  }
  return layers;
}

}  // namespace initrt
