// The names that the pickle of a PyTorch state dict may refer to, and the types among them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "sharding/dtype.h"

namespace initrt {

/// A class of storage or a dtype, as pickles name it.
struct TorchType {
  std::string_view global;     ///< "torch.FloatStorage", "torch.float32"
  std::uint32_t bytes;         ///< of one element
  std::optional<DType> dtype;  ///< nothing where this program has none, or for plain bytes
};

/// The type that this global is, or nullptr.
[[nodiscard]] const TorchType* torch_type(std::string_view global);

/// All that a state dict needs, sorted.
[[nodiscard]] std::span<const std::string_view> torch_globals();

/// `names` and all of torch_globals(), sorted.
[[nodiscard]] std::vector<std::string_view> with_torch_globals(
    std::span<const std::string_view> names);

}  // namespace initrt
