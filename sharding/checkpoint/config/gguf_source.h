// What a GGUF file says of its model: its metadata, and small tensors that say something too.
#pragma once

#include <algorithm>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sharding/checkpoint/config/gguf_config.h"
#include "sharding/checkpoint/config/gguf_metadata.h"

namespace initrt {

/// Keeps references: what it is made of must outlive it.
class GgufSource {
 public:
  GgufSource(const nlohmann::json& values, std::string architecture,
             std::span<const TensorEntry> tensors, const ReadFloats& read_floats)
      : metadata(values, std::move(architecture)), tensors_(tensors), read_floats_(read_floats) {}

  const GgufMetadata metadata;

  [[nodiscard]] const TensorEntry* tensor(std::string_view name) const {
    const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                    [&](const TensorEntry& entry) { return entry.name == name; });
    return found == tensors_.end() ? nullptr : &*found;
  }
  [[nodiscard]] bool has(std::string_view name) const { return tensor(name) != nullptr; }
  [[nodiscard]] std::vector<float> floats(std::string_view name) const {
    return read_floats_(*tensor(name));
  }

 private:
  const std::span<const TensorEntry> tensors_;
  const ReadFloats& read_floats_;
};

}  // namespace initrt
