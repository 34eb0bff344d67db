// Hugging Face's index of a checkpoint in several files: {"weight_map": {tensor: file}}, the same
// for safetensors and PyTorch files.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

using WeightMap = std::map<std::string, std::string>;  ///< tensor name -> file name

/// @throws Error where the file is no index, or names what is not a plain file name
[[nodiscard]] WeightMap read_weight_map(Files& files, const std::string& path);

/// The files of the map, sorted, each once. @throws Error where one is not in `directory`
[[nodiscard]] std::vector<std::string> files_of(Files& files, const WeightMap& map,
                                                const std::string& index_path);

/// Whether the tensor belongs to the file `name`: not where the map has it in another one.
[[nodiscard]] bool belongs_to(const WeightMap& map, const std::string& tensor,
                              std::string_view name);

/// @throws Error where a tensor of the map is in none of the catalog's files
void check_all_found(const WeightMap& map, const Catalog& catalog, const std::string& index_path);

/// Whether `name`, which a file gave, is that of a file beside it: no path, no "..", printable
/// UTF-8.
[[nodiscard]] bool is_plain_file_name(std::string_view name);

}  // namespace initrt
