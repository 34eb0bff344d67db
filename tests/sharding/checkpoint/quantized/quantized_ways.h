// Ways of storing a weight quantized, as their libraries write it, for tests that change one thing.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sharding/checkpoint/names/names.h"

namespace initrt::testing {

using Json = nlohmann::json;

/// Of the one weight that is quantized: the names of its tensors begin with this.
inline constexpr const char* kModule = "model.layers.0.mlp.down_proj.";
inline constexpr std::size_t kWeight = 3;  ///< the graph's tensor

struct Part {
  std::string name;  ///< within the module
  DType dtype;
  std::vector<std::uint64_t> shape;
};
using Parts = std::vector<Part>;

struct Way {
  const char* name;
  std::uint64_t rows, columns;
  Parts parts;  ///< the codes first
  Json config;  ///< quantization_config; null: none
  QuantMethod method = QuantMethod::Bytes;
};

[[nodiscard]] const std::vector<Way>& ways();
[[nodiscard]] const Way& way(const std::string& name);

[[nodiscard]] Json gptq(int bits, int group);
[[nodiscard]] Json compressed(const char* format, const Json& weights);
/// Four bits in groups of 32, of compressed().
[[nodiscard]] Json four_bits();
/// Blocks of 128 by 128.
[[nodiscard]] Json fp8();
[[nodiscard]] Json changed(Json config, const char* key, const Json& value);

[[nodiscard]] Graph graph_of(std::uint64_t rows, std::uint64_t columns);
[[nodiscard]] Catalog catalog_of(const Parts& parts, const Json& quantization);
[[nodiscard]] Bindings bound(const Way& way);

/// What a way is refused with where it has another part, lacks one, or is under another config.
[[nodiscard]] std::string error_with(const std::string& name, const Part& part);
[[nodiscard]] std::string error_lacking(const std::string& name, const std::string& part);
[[nodiscard]] std::string error_under(const std::string& name, const Json& config);

}  // namespace initrt::testing
