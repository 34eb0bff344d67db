#include "sharding/checkpoint/foreign_tensors.h"

#include <nlohmann/json.hpp>

namespace initrt {
namespace {

// Whether a part of the name between dots begins so. @param start with a dot before it
bool has_part(std::string_view name, std::string_view start) {
  return name.starts_with(start.substr(1)) || name.find(start) != std::string_view::npos;
}

}  // namespace

bool is_of_lora(std::string_view name) { return has_part(name, ".lora_"); }

bool is_of_adapter(std::string_view name) {
  return is_of_lora(name) || has_part(name, ".prompt_embeddings") || has_part(name, ".ia3_l") ||
         has_part(name, ".modules_to_save.");
}

bool is_of_adapted_module(std::string_view name) {
  return name.find(".base_layer.") != std::string_view::npos;
}

std::optional<std::int64_t> mlx_bits(const nlohmann::json& config) {
  if (!config.is_object()) return {};
  const auto said = config.find(kMlxKey);
  if (said == config.end() || !said->is_object()) return {};
  const auto bits = said->find("bits");
  if (bits == said->end() || !bits->is_number_integer()) return {};
  return bits->get<std::int64_t>();
}

}  // namespace initrt
