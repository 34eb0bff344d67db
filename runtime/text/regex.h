// Regular expressions of tokenizer.json: written for Oniguruma (Ruby syntax), run by PCRE2.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/text/json_node.h"

namespace initrt {

/// A compiled pattern. Immutable, so one may serve several threads.
class Regex {
 public:
  /// From Oniguruma's syntax. Where PCRE2 means something else by the same characters, the
  /// pattern is rewritten; what cannot be is an Error.
  /// @param where names the pattern in errors, e.g. "tokenizer.json: pre_tokenizer.pattern"
  [[nodiscard]] static Regex from_oniguruma(std::string_view pattern, std::string where);

  /// Matches exactly this text.
  [[nodiscard]] static Regex literal(std::string_view text, std::string where);

  /// From {"Regex": pattern} or {"String": text}.
  /// @throws Error naming what is malformed or not known
  [[nodiscard]] static Regex from_json(const JsonNode& json);

  /// From PCRE2's own syntax, for patterns written here.
  [[nodiscard]] static Regex from_pcre2(std::string_view pattern, std::string where);

  /// Calls `match(begin, end)`, byte offsets, for each match from left to right. Matches do not
  /// overlap; an empty one directly after another match is passed over.
  /// @param text valid UTF-8
  /// @throws Error where matching takes more memory or steps than PCRE2 allows
  void each_match(std::string_view text,
                  const std::function<void(std::size_t begin, std::size_t end)>& match) const;

  /// The text with every match replaced by `content`.
  /// @throws Error as each_match, and where it would have more than `most_bytes`
  [[nodiscard]] std::string replace(std::string_view text, std::string_view content,
                                    std::size_t most_bytes) const;

 private:
  Regex(std::string_view pattern, std::uint32_t options, std::string where);

  std::shared_ptr<const void> code_;  ///< pcre2_code
  std::string where_;
};

}  // namespace initrt
