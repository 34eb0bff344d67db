// What other programs leave in a model's tensors: adapters that are not merged, matrices that
// mlx-lm packed. A checkpoint that is all of that is no model; a tensor beside a weight changes it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>

#include "sharding/dtype.h"

namespace initrt {

/// Whether PEFT or mlx-lm calls a matrix of a LoRA adapter so: "X.lora_A.weight", "lora_b".
[[nodiscard]] bool is_of_lora(std::string_view name);

/// Whether it is of any kind of adapter that is known by its names.
[[nodiscard]] bool is_of_adapter(std::string_view name);

/// Whether PEFT keeps this of a module that it has put an adapter around.
[[nodiscard]] bool is_of_adapted_module(std::string_view name);

/// How an adapter becomes part of its model, behind "merge it ".
inline constexpr std::string_view kHowToMerge =
    "(in PEFT: merge_and_unload(), then save_pretrained()) and name the directory of the result";

/// mlx-lm packs a matrix's codes into words of this dtype, with scales beside them; it is alone
/// with that.
inline constexpr DType kMlxWord = DType::U32;

/// The bits of a code, which mlx-lm writes into the model config; nothing in other configs.
[[nodiscard]] std::optional<std::int64_t> mlx_bits(const nlohmann::json& config);

/// mlx-lm's object in a model config.
inline constexpr std::string_view kMlxKey = "quantization";

}  // namespace initrt
