// The normalizer Precompiled of tokenizer.json: a SentencePiece model's normalization table, used
// as the reference uses it, which is not as SentencePiece does.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/double_array.h"
#include "runtime/text/json_node.h"

namespace initrt {

class Charsmap {
 public:
  /// @param json base64 of a precompiled_charsmap (sentencepiece_model.h)
  /// @throws Error where it is none, or a search in it would leave it
  explicit Charsmap(const JsonNode& json);

  /// Replaces what the table has an entry for: a grapheme cluster of less than 6 bytes as a whole,
  /// by what the shortest of its beginnings in the table becomes; else each of its characters.
  /// @param text valid UTF-8
  /// @param front as Normalizer has it; what is taken off the front is, as in the reference, not
  ///   missed there
  [[nodiscard]] std::string apply(std::string_view text, std::size_t& front) const;

 private:
  /// What the shortest beginning of `text` in the table becomes; null where it has none.
  [[nodiscard]] const char* find(std::string_view text) const;

  std::vector<DoubleArrayUnit> units_;
  std::string replacements_;  ///< each ended by a zero byte
};

}  // namespace initrt
