// What tokens stand for: the member `decoder` of tokenizer.json, token by token.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/json_node.h"
#include "runtime/text/regex.h"

namespace initrt {

/// The decoders ByteLevel, Replace, Metaspace, ByteFallback, Fuse, Strip, WordPiece and Sequence,
/// as a list of steps. The reference decodes a whole text at once, and takes the space off its
/// beginning that encoding put there (Metaspace, or Strip after Fuse); tokens here follow a prompt,
/// so it stays. Bytes that are no characters stay as they are, for Utf8Stream to replace.
class Decoder {
 public:
  /// From the member `decoder`.
  /// @throws Error naming what is malformed, not known, or cannot be done token by token
  explicit Decoder(const JsonNode& json);

  /// The bytes that a token stands for; may be part of a character.
  [[nodiscard]] std::string operator()(std::string_view token) const;

 private:
  enum class Kind : std::uint8_t { ByteLevel, Replace, ByteFallback, Strip, WordPiece };

  struct Step {
    Kind kind = Kind::ByteLevel;
    std::optional<Regex> pattern;  ///< of Replace
    std::string content;           ///< of Replace; of Strip, the character; of WordPiece, the mark
    bool cleanup = false;          ///< of WordPiece
    std::size_t start = 0, stop = 0;  ///< of Strip, how many at most
  };

  void add(const JsonNode& json, int depth);
  void add_strip(const JsonNode& json);

  std::vector<Step> steps_;
  bool fused_ = false;  ///< what follows works on the whole text
};

}  // namespace initrt
