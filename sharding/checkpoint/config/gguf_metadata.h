// Typed access to GGUF metadata: every error names the key.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {

class GgufMetadata {
 public:
  /// Keeps a reference: the values must outlive this.
  /// @param architecture before the keys that begin with a dot
  GgufMetadata(const nlohmann::json& values, std::string architecture)
      : values_(values), architecture_(std::move(architecture)) {}

  [[nodiscard]] std::string full(std::string_view key) const {
    return key.starts_with('.') ? architecture_ + std::string(key) : std::string(key);
  }

  [[nodiscard]] const nlohmann::json* find(std::string_view key) const {
    const auto found = values_.find(full(key));
    if (found == values_.end()) return nullptr;
    read_.insert(found.key());
    return &*found;
  }

  /// Keys of the architecture that find() was not asked for.
  [[nodiscard]] std::vector<std::string> unread() const {
    std::vector<std::string> keys;
    for (const auto& [key, value] : values_.items()) {
      if (key.starts_with(architecture_ + ".") && !read_.contains(key)) keys.push_back(key);
    }
    return keys;
  }

  /// The value of a key that may have a number for each layer: the one that all layers share.
  /// @throws Error where layers differ, or their number is not the model's
  [[nodiscard]] const nlohmann::json* find_shared(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr || !value->is_array()) return value;
    const nlohmann::json* layers = find(".block_count");
    if (value->empty() || (layers != nullptr && *layers != value->size())) {
      fail("GGUF metadata key {} has {} numbers, expected one, or one for each of the {} layers",
           quote(full(key)), value->size(),
           layers != nullptr && layers->is_number() ? layers->dump() : "model's");
    }
    for (std::size_t layer = 1; layer < value->size(); ++layer) {
      if ((*value)[layer] == value->front()) continue;
      fail(
          "GGUF metadata key {} is {} in layer 0 and {} in layer {}: layers that differ in it are "
          "not supported",
          quote(full(key)), shown(value->front()), shown((*value)[layer]), layer);
    }
    return &value->front();
  }

  /// A number for each layer: all the same where the key has one for all of them.
  /// @throws Error where it is missing, or says nothing of some layer
  [[nodiscard]] std::vector<std::uint64_t> by_layer(std::string_view key) const {
    constexpr std::uint64_t kMostLayers = 4096;
    const std::uint64_t layers = need_count(".block_count");
    if (layers > kMostLayers) fail("GGUF metadata: {} layers; the most is {}", layers, kMostLayers);
    const nlohmann::json* value = find(key);
    if (value == nullptr) fail("GGUF metadata key {} is missing", quote(full(key)));
    if (!value->is_array()) return std::vector<std::uint64_t>(layers, count(key).value_or(0));
    if (value->size() != layers) {
      fail("GGUF metadata key {} has {} numbers for {} layers", quote(full(key)), value->size(),
           layers);
    }
    std::vector<std::uint64_t> numbers;
    for (const nlohmann::json& number : *value) {
      if (!number.is_number_integer() || number < 0) {
        fail("GGUF metadata key {} is not a list of numbers from 0 on", quote(full(key)));
      }
      numbers.push_back(number.get<std::uint64_t>());
    }
    return numbers;
  }

  [[nodiscard]] std::optional<std::uint64_t> count(std::string_view key) const {
    const nlohmann::json* value = find_shared(key);
    if (value == nullptr) return {};
    if (!value->is_number_integer() || *value < 0) {
      fail("GGUF metadata key {} is not a number from 0 on", quote(full(key)));
    }
    return value->get<std::uint64_t>();
  }

  /// by_layer(), of which none may be 0.
  [[nodiscard]] std::vector<std::uint64_t> need_counts(std::string_view key) const {
    std::vector<std::uint64_t> counts = by_layer(key);
    for (const std::uint64_t number : counts) {
      if (number > 0) continue;
      fail("GGUF metadata key {} is not a list of {} numbers above 0", quote(full(key)),
           counts.size());
    }
    return counts;
  }

  [[nodiscard]] std::uint64_t need_count(std::string_view key) const {
    const auto value = count(key);
    if (!value || *value == 0) fail("GGUF metadata key {} is missing or 0", quote(full(key)));
    return *value;
  }

  /// A float32 as the shortest decimal that gives it back: 1e-05, not 9.999999747378752e-06.
  [[nodiscard]] std::optional<double> real(std::string_view key) const {
    const nlohmann::json* value = find_shared(key);
    if (value == nullptr) return {};
    if (!value->is_number()) fail("GGUF metadata key {} is not a number", quote(full(key)));
    const double exact = value->get<double>();
    if (!std::isfinite(exact) || exact <= 0) {
      fail("GGUF metadata key {} is not a positive number", quote(full(key)));
    }
    const auto single = static_cast<float>(exact);
    if (static_cast<double>(single) != exact) return exact;
    return std::strtod(fmt::format("{}", single).c_str(), nullptr);
  }

  /// real(), of a key whose 0 says nothing.
  [[nodiscard]] std::optional<double> real_unless_0(std::string_view key) const {
    const nlohmann::json* value = find(key);
    return value != nullptr && *value == 0 ? std::nullopt : real(key);
  }

  [[nodiscard]] std::optional<bool> flag(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_boolean()) fail("GGUF metadata key {} is not a flag", quote(full(key)));
    return value->get<bool>();
  }

  [[nodiscard]] std::optional<std::string> text(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_string()) fail("GGUF metadata key {} is not a string", quote(full(key)));
    return value->get<std::string>();
  }

 private:
  static std::string shown(const nlohmann::json& value) {
    return value.is_number() ? value.dump() : value.type_name();
  }

  const nlohmann::json& values_;
  const std::string architecture_;
  mutable std::set<std::string> read_;  // the answers do not depend on it
};

}  // namespace initrt
