// The header of one GGUF file, versions 2 and 3, little-endian. Format: magic, version, counts,
// metadata key-values, tensor infos, padding, then the tensors' bytes
// (github.com/ggml-org/ggml, docs/gguf.md).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

struct GgufHeader {
  std::vector<TensorEntry> tensors;  ///< offsets from the start of the file; `file` left at 0
  nlohmann::json metadata;           ///< object; strings are raw bytes, arrays are JSON arrays
  std::uint64_t file_bytes = 0;
};

/// Reads the header of the file at `path` in bounded pieces. No count in it is believed before the
/// bytes that it promises could be there, so memory stays in proportion to the header.
/// @throws Error naming the path, the key or tensor, and the byte.
[[nodiscard]] GgufHeader read_gguf_header(Files& files, const std::string& path);

}  // namespace initrt
