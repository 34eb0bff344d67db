// Hugging Face's index of a checkpoint in several files: {"weight_map": {tensor: file}}, the same
// for safetensors and PyTorch files.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

using WeightMap = std::map<std::string, std::string>;  ///< tensor name -> path of its file

/// Paths are of files in the index's folder or in one below it.
/// @throws Error where the file is no index, or names another path
[[nodiscard]] WeightMap read_weight_map(Files& files, const std::string& path);

/// Whether `name`, which a file gave, is that of a file beside it: no path, no "..", printable
/// UTF-8.
[[nodiscard]] bool is_plain_file_name(std::string_view name);

}  // namespace initrt
