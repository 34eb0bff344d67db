#include "sharding/checkpoint/quantized/quant_config.h"

#include <algorithm>
#include <charconv>

namespace initrt {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

}  // namespace

QuantConfig::QuantConfig(const nlohmann::json& config) {
  if (!config.is_object()) return;
  for (const char* key : {"quantization_config", "compression_config"}) {
    const auto found = config.find(key);
    if (found != config.end() && found->is_object()) {
      object_ = *found;
      return;
    }
  }
}

std::optional<std::int64_t> QuantConfig::integer(std::initializer_list<const char*> keys) const {
  for (const char* key : keys) {
    const auto found = object_.find(key);
    if (found != object_.end() && found->is_number_integer()) return found->get<std::int64_t>();
  }
  return {};
}

std::string QuantConfig::text(std::initializer_list<const char*> keys) const {
  for (const char* key : keys) {
    const auto found = object_.find(key);
    if (found != object_.end() && found->is_string()) return lower(found->get<std::string>());
  }
  return "";
}

std::optional<bool> QuantConfig::flag(std::initializer_list<const char*> keys) const {
  for (const char* key : keys) {
    const auto found = object_.find(key);
    if (found != object_.end() && found->is_boolean()) return found->get<bool>();
  }
  return {};
}

bool QuantConfig::has(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null() && !found->empty();
}

std::optional<BlockShape> block_shape(const nlohmann::json& value) {
  BlockShape shape;
  if (value.is_array() && value.size() == 2 && value[0].is_number_integer() &&
      value[1].is_number_integer()) {
    const auto size = [&](int i) {
      return std::max<std::int64_t>(0, value[i].get<std::int64_t>());
    };
    shape = {static_cast<std::uint64_t>(size(0)), static_cast<std::uint64_t>(size(1))};
  } else if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    const char* const end = text.data() + text.size();
    const auto first = std::from_chars(text.data(), end, shape.rows);
    if (first.ec != std::errc() || first.ptr == end || *first.ptr != 'x') return {};
    const auto second = std::from_chars(first.ptr + 1, end, shape.columns);
    if (second.ec != std::errc() || second.ptr != end) return {};
  }
  if (shape.rows == 0 || shape.columns == 0) return {};
  return shape;
}

}  // namespace initrt
