// What tokenizer.json does to text before anything else looks at it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/text/json_node.h"

namespace initrt {

/// Nothing, or Unicode normalization form C.
class Normalizer {
 public:
  /// From the member `normalizer`: absent, NFC, or a Sequence of those.
  /// @throws Error naming a type not known
  explicit Normalizer(const std::optional<JsonNode>& json);

  /// @param text valid UTF-8
  [[nodiscard]] std::string operator()(std::string_view text) const;

 private:
  bool nfc_ = false;
};

}  // namespace initrt
