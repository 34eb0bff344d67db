// Model families: config -> Graph. Which there are is in families/families.h.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string_view>

#include "sharding/graph.h"

namespace initrt {

struct Family {
  std::string_view model_type;    ///< config["model_type"]
  std::string_view architecture;  ///< config["architectures"][0]
  /// Builds the graph from a config in Hugging Face's keys.
  /// @throws Error naming the key that is missing, ill-typed or asks for what is not known.
  Graph (*build)(const nlohmann::json& config);
};

[[nodiscard]] std::span<const Family> families();

/// Whether the config is of a family that build_graph() knows.
[[nodiscard]] bool knows_family(const nlohmann::json& config);

/// The graph of a model. @throws Error for an architecture that no family knows.
[[nodiscard]] Graph build_graph(const nlohmann::json& config);

}  // namespace initrt
