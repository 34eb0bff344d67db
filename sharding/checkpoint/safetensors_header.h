// The header of one safetensors file. Format: an 8-byte little-endian length, that many bytes of
// JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {...}}, then the
// tensors' bytes without holes (github.com/huggingface/safetensors, "Format").
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  ///< offsets from the start of the file; `file` left at 0
  nlohmann::json metadata;           ///< the strings of __metadata__, or an empty object
  std::uint64_t file_bytes = 0;
};

/// Reads and checks the header of the file at `path`: one read of its length, one of its JSON.
/// @throws Error naming the path, the tensor and the byte for anything that the format forbids.
[[nodiscard]] SafetensorsHeader read_safetensors_header(Files& files, const std::string& path);

}  // namespace initrt
