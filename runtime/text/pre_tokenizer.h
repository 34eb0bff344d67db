// Cuts text into the words that the model sees one by one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/json_node.h"
#include "runtime/text/regex.h"

namespace initrt {

/// The pre-tokenizers ByteLevel, Metaspace, Split, Digits, Punctuation, Whitespace,
/// WhitespaceSplit, CharDelimiterSplit, BertPreTokenizer and Sequence, all as a list of steps: each
/// step works on every piece that the step before it left, and on nothing beyond that piece.
class PreTokenizer {
 public:
  /// From the member `pre_tokenizer`; where it is absent, the whole text is one word.
  /// @throws Error naming what is malformed or not known
  explicit PreTokenizer(const std::optional<JsonNode>& json);

  /// Calls `word` for each word in order; none is empty.
  /// @param text valid UTF-8
  /// @param front how many of its first bytes stand for the first character of a whole text
  void split(std::string_view text, std::size_t front,
             const std::function<void(std::string_view)>& word) const;

 private:
  /// Where a match goes: dropped, a piece of its own, or joined with a neighbour.
  enum class Behavior : std::uint8_t {
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,  ///< neighbouring matches become one piece
  };

  struct Cut {
    Regex pattern;
    Behavior behavior = Behavior::Isolated;
    bool invert = false;  ///< what lies between the matches counts as the match
  };

  enum class Prefix : std::uint8_t { Never, Always, First };

  /// In this order; a step has at least one of them.
  struct Step {
    std::string replacement;        ///< what spaces become; empty: they stay
    Prefix prefix = Prefix::Never;  ///< whether prefix_text goes before pieces without it
    std::string prefix_text;
    std::optional<Cut> cut;
    bool byte_level = false;  ///< pieces are rewritten in the byte-level alphabet
  };

  struct Segment {
    std::size_t begin = 0, end = 0;  ///< bytes
    bool match = false;
  };

  void add(const JsonNode& json, int depth);
  static Step step_of(const JsonNode& json, const JsonNode& type);
  static Step byte_level_of(const JsonNode& json);
  static Step metaspace_of(const JsonNode& json);
  static Behavior behavior_of(const JsonNode& json);
  static std::string replace_spaces(std::string_view replacement, std::string_view text,
                                    std::size_t& front);
  static std::vector<Segment> segments(const Cut& cut, std::string_view text);
  void run(std::size_t step, std::string_view piece, std::size_t front,
           const std::function<void(std::string_view)>& word) const;

  std::vector<Step> steps_;
};

}  // namespace initrt
