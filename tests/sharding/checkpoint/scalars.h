// Safetensors files for tests of what a directory holds, where values do not matter.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/sharding/checkpoint/header_writers.h"

namespace initrt::testing {

/// A file of float32 scalars with these names.
inline std::string scalars(const std::vector<std::string>& names) {
  nlohmann::json header = nlohmann::json::object();
  for (std::size_t i = 0; i < names.size(); ++i) {
    header[names[i]] = {
        {"dtype", "F32"}, {"shape", nlohmann::json::array()}, {"data_offsets", {4 * i, 4 * i + 4}}};
  }
  return safetensors_file(header.dump(), 4 * names.size());
}

}  // namespace initrt::testing
