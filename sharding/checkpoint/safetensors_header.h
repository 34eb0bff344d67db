// The header of one safetensors file. Format: an 8-byte little-endian length, that many bytes of
// JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {...}}, then the
// tensors' bytes without holes (github.com/huggingface/safetensors, "Format"). Its metadata are the
// strings of __metadata__.
#pragma once

#include <string>

#include "sharding/checkpoint/file_set_reader.h"

namespace initrt {

/// Reads and checks the header of the file at `path`: one read of its length, one of its JSON.
/// @throws Error naming the path, the tensor and the byte for anything that the format forbids.
[[nodiscard]] FileHeader read_safetensors_header(Files& files, const std::string& path);

}  // namespace initrt
