// Models whose layers are of several kinds, which GGUF files tell by numbers for each layer.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "sharding/checkpoint/config/gguf_source.h"

namespace initrt {

/// Whether an architecture's layers are of several kinds: heads of keys and values, and what feeds
/// forward, are then counted for each layer, and 0 where a layer has none.
[[nodiscard]] bool is_gguf_hybrid(std::string_view architecture);

/// What all layers that have some of it have of it. @throws Error where they differ, or none has
[[nodiscard]] std::uint64_t hybrid_count(const GgufMetadata& metadata, std::string_view key);

/// Add the keys of Granite 4, Nemotron-H and Qwen3-Next to the shared ones, but for those of their
/// experts.
void add_granite_hybrid(const GgufSource& source, nlohmann::json& config);
void add_nemotron_h(const GgufSource& source, nlohmann::json& config);
void add_delta_net(const GgufSource& source, nlohmann::json& config);

}  // namespace initrt
