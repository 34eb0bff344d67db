// Rotary embedding as configs describe it: `rope_theta` and `rope_scaling`, or the newer
// `rope_parameters`, which may hold one set for each kind of layer.
#pragma once

#include <string_view>

#include "sharding/checkpoint/config/config_reader.h"
#include "sharding/rotary.h"

namespace initrt {

/// The most positions that a config may ask for.
inline constexpr std::uint64_t kMaxContext = 1u << 30;

/// Keys and values of a family where they are not the usual ones.
struct RotaryKeys {
  double theta = 10000.0;  ///< where the config has none
  double partial = 1.0;    ///< of a head that is rotated, where the config has none
  std::string_view theta_key = "rope_theta";
  std::string_view partial_key = "partial_rotary_factor";
  std::string_view layer_type = "";   ///< in `rope_parameters`, for this kind of layer
  std::string_view type = "default";  ///< where the config has none
  bool scaled = true;                 ///< `rope_scaling` is about these layers too
  bool yarn_is_longrope = false;      ///< as in configs of Phi-3
  bool by_position = false;           ///< what is rotated also grows with the position: Q
};

/// @param context the config's max_position_embeddings, which scaling may go by
/// @throws Error naming the key that is missing, ill-typed or asks for what is not known
[[nodiscard]] RotarySpec read_rotary(const ConfigReader& config, std::uint32_t head_size,
                                     std::uint64_t context, const RotaryKeys& keys = {});

}  // namespace initrt
