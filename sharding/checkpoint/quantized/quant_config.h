// What a model config says of its checkpoint's quantization.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace initrt {

/// The object "quantization_config" of a model config, or "compression_config". It is a file's:
/// what is not of the expected type counts as not there.
class QuantConfig {
 public:
  /// @param config of a model, or null
  explicit QuantConfig(const nlohmann::json& config);

  /// Whether there is one.
  [[nodiscard]] bool is_there() const { return object_.is_object(); }
  /// "quant_method" in lower case; "" where none is given.
  [[nodiscard]] std::string method() const { return text({"quant_method"}); }
  [[nodiscard]] const nlohmann::json& object() const { return object_; }

  /// The first of these keys that holds a value of the type. Text is in lower case.
  [[nodiscard]] std::optional<std::int64_t> integer(std::initializer_list<const char*> keys) const;
  [[nodiscard]] std::string text(std::initializer_list<const char*> keys) const;
  [[nodiscard]] std::optional<bool> flag(std::initializer_list<const char*> keys) const;
  /// Whether something other than null, an empty object or an empty list is there.
  [[nodiscard]] bool has(const char* key) const;

 private:
  nlohmann::json object_;
};

/// "weight_block_size" or "block_structure": [128, 128] or "128x128"; nothing where it is neither.
struct BlockShape {
  std::uint64_t rows = 0, columns = 0;
};
[[nodiscard]] std::optional<BlockShape> block_shape(const nlohmann::json& value);

}  // namespace initrt
