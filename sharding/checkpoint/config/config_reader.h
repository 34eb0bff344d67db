// Typed access to a model config, with errors that name the key.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "sharding/error.h"

namespace initrt {

class ConfigReader {
 public:
  /// Keeps a reference: the config must outlive the reader.
  explicit ConfigReader(const nlohmann::json& config) : config_(config) {
    if (!config_.is_object()) fail("the model config is not a JSON object");
  }

  [[nodiscard]] bool has(std::string_view key) const {
    const auto found = config_.find(key);
    return found != config_.end() && !found->is_null();
  }

  /// Whether the key is there, and null.
  [[nodiscard]] bool is_null(std::string_view key) const {
    const auto found = config_.find(key);
    return found != config_.end() && found->is_null();
  }

  /// A whole number in [least, most]. @throws Error where the key is missing, or is anything else.
  [[nodiscard]] std::uint64_t whole(std::string_view key, std::uint64_t least,
                                    std::uint64_t most) const {
    const nlohmann::json& value = at(key);
    if (!value.is_number_integer() || value < 0) {
      fail("model config: {} is not a whole number", key);
    }
    const auto number = value.get<std::uint64_t>();
    if (number < least || number > most) {
      fail("model config: {} is {}, not within {} to {}", key, number, least, most);
    }
    return number;
  }

  [[nodiscard]] std::uint64_t whole_or(std::string_view key, std::uint64_t fallback,
                                       std::uint64_t least, std::uint64_t most) const {
    return has(key) ? whole(key, least, most) : fallback;
  }

  /// A positive number that is one in float32 too, where kernels use it.
  [[nodiscard]] double positive(std::string_view key) const {
    const nlohmann::json& value = at(key);
    if (!value.is_number() || !(value.get<double>() > 0.0)) {
      fail("model config: {} is not a number above 0", key);
    }
    const auto number = value.get<double>();
    if (std::isinf(number)) fail("model config: {} is Infinity, expected a finite number", key);
    using Float = std::numeric_limits<float>;
    if (number < Float::min() || number > Float::max()) {
      fail("model config: {} is {}, which float32 does not hold", key, number);
    }
    return number;
  }

  [[nodiscard]] double positive_or(std::string_view key, double fallback) const {
    return has(key) ? positive(key) : fallback;
  }

  [[nodiscard]] bool flag_or(std::string_view key, bool fallback) const {
    if (!has(key)) return fallback;
    const nlohmann::json& value = at(key);
    if (!value.is_boolean()) fail("model config: {} is not true or false", key);
    return value.get<bool>();
  }

  [[nodiscard]] std::string text_or(std::string_view key, std::string_view fallback) const {
    if (!has(key)) return std::string(fallback);
    const nlohmann::json& value = at(key);
    if (!value.is_string()) fail("model config: {} is not a string", key);
    return value.get<std::string>();
  }

  [[nodiscard]] const nlohmann::json& at(std::string_view key) const {
    if (!has(key)) fail("model config: {} is missing", key);
    return *config_.find(key);
  }

 private:
  const nlohmann::json& config_;
};

}  // namespace initrt
