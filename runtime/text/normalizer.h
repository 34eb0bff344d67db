// What tokenizer.json does to text before anything else looks at it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/characters.h"
#include "runtime/text/charsmap.h"
#include "runtime/text/json_node.h"
#include "runtime/text/regex.h"

namespace initrt {

/// The normalizers NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip, StripAccents, Lowercase,
/// Precompiled, BertNormalizer and Sequence, all as a list of steps.
class Normalizer {
 public:
  /// From the member `normalizer`; where it is absent, text stays as it is.
  /// @throws Error naming what is malformed or not known
  explicit Normalizer(const std::optional<JsonNode>& json);

  /// @param text valid UTF-8
  /// @param front how many of its first bytes stand for the first character of a whole text, 0
  ///   where it begins none; afterwards, how many of the result's do
  /// @throws Error where it would grow without measure
  [[nodiscard]] std::string operator()(std::string_view text, std::size_t& front) const;

 private:
  enum class Kind : std::uint8_t {
    Form,
    Prepend,
    Replace,
    Strip,
    StripAccents,
    Lowercase,
    Precompiled,
    WithoutControls,  ///< this and the next two are parts of BertNormalizer
    SpacedIdeographs,
    WithoutMarks,
  };

  struct Step {
    Kind kind = Kind::Form;
    NormalForm form = NormalForm::C;
    std::string content;               ///< of Prepend and Replace
    std::optional<Regex> pattern;      ///< of Replace
    bool left = false, right = false;  ///< of Strip
    std::optional<Charsmap> map;       ///< of Precompiled
  };

  void add(const JsonNode& json, int depth);
  void add_bert(const JsonNode& json);
  static std::string apply(const Step& step, std::string_view text, std::size_t most_bytes,
                           std::size_t& front);

  std::vector<Step> steps_;
  std::string path_;  ///< for errors
};

}  // namespace initrt
