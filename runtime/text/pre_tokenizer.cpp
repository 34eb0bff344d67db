// The pre-tokenizers as steps.
#include "runtime/text/pre_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/text/byte_level.h"
#include "runtime/text/character_classes.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// GPT-2's pattern (Radford et al. 2019, encoder.py), which ByteLevel has built in.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// What Digits asks, Rust's char::is_numeric, is one Unicode version (17) ahead of the reference's
// regular expressions.
constexpr std::string_view kLaterNumbers = R"(\x{11DE0}-\x{11DE9}\x{16FF4}-\x{16FF6})";

// Steps run by recursion and each may look at the whole text: a file cannot ask for more.
constexpr std::size_t kMaxSteps = 32;
constexpr int kMaxNesting = 8;

// What BERT's cuts with: white space goes, each mark of punctuation is a piece of its own.
const nlohmann::json kBertParts = {
    {"type", "Sequence"},
    {"pretokenizers",
     {{{"type", "WhitespaceSplit"}}, {{"type", "Punctuation"}, {"behavior", "Isolated"}}}}};

}  // namespace

PreTokenizer::PreTokenizer(const std::optional<JsonNode>& json) {
  if (json) add(*json, 0);
}

void PreTokenizer::add(const JsonNode& json, int depth) {
  const JsonNode type = json.at("type");
  if (type.string() == "Sequence") {
    if (depth == kMaxNesting) fail("{} is nested more than {} deep", json.path(), kMaxNesting);
    const JsonNode parts = json.at("pretokenizers");
    for (std::size_t i = 0; i < parts.size(); ++i) add(parts.item(i), depth + 1);
    return;
  }
  if (type.string() == "BertPreTokenizer") {
    add(JsonNode(kBertParts, json.path()), depth);
    return;
  }
  if (steps_.size() == kMaxSteps) fail("{}: more than {} steps", json.path(), kMaxSteps);
  steps_.push_back(step_of(json, type));
  // Bytes of bytes, prefixes of pieces of prefixes: each time the text would grow, without end.
  const Step& last = steps_.back();
  const auto same_growth = [&](const Step& step) {
    return &step != &last && ((step.byte_level && last.byte_level) ||
                              (!step.replacement.empty() && !last.replacement.empty()));
  };
  if (std::any_of(steps_.begin(), steps_.end(), same_growth)) {
    fail("{}: {} a second time", json.path(), type.string());
  }
}

PreTokenizer::Step PreTokenizer::step_of(const JsonNode& json, const JsonNode& type) {
  const std::string& name = type.string();
  const auto pattern = [&](std::string_view text) { return Regex::from_pcre2(text, json.path()); };
  if (name == "ByteLevel") return byte_level_of(json);
  if (name == "Metaspace") return metaspace_of(json);
  Step step;
  if (name == "Digits") {
    const bool individual = json.flag("individual_digits", false);
    step.cut = Cut{pattern(fmt::format("[{}{}]", property_set("N"), kLaterNumbers)),
                   individual ? Behavior::Isolated : Behavior::Contiguous};
  } else if (name == "Punctuation") {
    const std::optional<JsonNode> behavior = json.find("behavior");
    step.cut =
        Cut{pattern(punctuation_pattern()), behavior ? behavior_of(*behavior) : Behavior::Isolated};
  } else if (name == "Whitespace") {
    step.cut = Cut{pattern(word_or_symbols_pattern()), Behavior::Removed, true};
  } else if (name == "WhitespaceSplit") {
    step.cut = Cut{pattern("\\p{White_Space}"), Behavior::Removed};
  } else if (name == "CharDelimiterSplit") {
    const JsonNode delimiter = json.at("delimiter");
    step.cut = Cut{Regex::literal(delimiter.character(), delimiter.path()), Behavior::Removed};
  } else if (name == "Split") {
    step.cut = Cut{Regex::from_json(json.at("pattern")), behavior_of(json.at("behavior")),
                   json.at("invert").boolean()};
  } else {
    type.expected(
        "a pre-tokenizer known here (\"ByteLevel\", \"Metaspace\", \"Split\", \"Digits\", "
        "\"Punctuation\", \"Whitespace\", \"WhitespaceSplit\", \"CharDelimiterSplit\", "
        "\"BertPreTokenizer\", \"Sequence\")");
  }
  return step;
}

PreTokenizer::Step PreTokenizer::byte_level_of(const JsonNode& json) {
  Step step;
  if (json.at("add_prefix_space").boolean()) step.prefix = Prefix::Always;
  step.prefix_text = " ";
  if (json.flag("use_regex", true))
    step.cut = Cut{Regex::from_oniguruma(kGpt2Pattern, json.path())};
  step.byte_level = true;
  return step;
}

PreTokenizer::Step PreTokenizer::metaspace_of(const JsonNode& json) {
  Step step;
  const JsonNode replacement = json.at("replacement");
  step.replacement = replacement.character();
  step.prefix_text = step.replacement;
  // Files written before version 0.14 of the reference say `add_prefix_space` alone.
  const std::optional<JsonNode> scheme = json.find("prepend_scheme");
  const bool wanted = json.flag("add_prefix_space", true);
  const std::string_view name = scheme   ? std::string_view(scheme->string())
                                : wanted ? "always"
                                         : "never";
  if (name == "always") {
    step.prefix = Prefix::Always;
  } else if (name == "first") {
    step.prefix = Prefix::First;
  } else if (name != "never") {
    scheme->expected("\"always\", \"first\" or \"never\"");
  }
  if (!wanted && step.prefix != Prefix::Never) {
    scheme->expected("\"never\", as add_prefix_space is false");
  }
  if (json.flag("split", true)) {
    step.cut = Cut{Regex::literal(step.replacement, replacement.path()), Behavior::MergedWithNext};
  }
  return step;
}

PreTokenizer::Behavior PreTokenizer::behavior_of(const JsonNode& json) {
  const std::string& name = json.string();
  if (name == "Removed") return Behavior::Removed;
  if (name == "Isolated") return Behavior::Isolated;
  if (name == "MergedWithPrevious") return Behavior::MergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::MergedWithNext;
  if (name == "Contiguous") return Behavior::Contiguous;
  json.expected(
      "\"Removed\", \"Isolated\", \"MergedWithPrevious\", \"MergedWithNext\" or \"Contiguous\"");
}

void PreTokenizer::split(std::string_view text, std::size_t front,
                         const std::function<void(std::string_view)>& word) const {
  run(0, text, front, word);
}

std::string PreTokenizer::replace_spaces(std::string_view replacement, std::string_view text,
                                         std::size_t& front) {
  std::string replaced;
  std::size_t new_front = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == ' ') {
      replaced += replacement;
    } else {
      replaced += text[at];
    }
    if (at < front) new_front = replaced.size();
  }
  front = new_front;
  return replaced;
}

void PreTokenizer::run(std::size_t step, std::string_view piece, std::size_t front,
                       const std::function<void(std::string_view)>& word) const {
  if (piece.empty()) return;
  if (step == steps_.size()) return word(piece);
  const Step& now = steps_[step];
  const auto pass_on = [&](std::string_view part, std::size_t part_front) {
    if (now.byte_level) {
      part_front = to_byte_level(part.substr(0, part_front)).size();
      run(step + 1, to_byte_level(part), part_front, word);
    } else {
      run(step + 1, part, part_front, word);
    }
  };
  std::string changed;
  if (!now.replacement.empty()) {
    changed = replace_spaces(now.replacement, piece, front);
    piece = changed;
  }
  const bool prefixed = now.prefix == Prefix::Always || (now.prefix == Prefix::First && front > 0);
  if (prefixed && !piece.starts_with(now.prefix_text)) {
    if (front > 0) front += now.prefix_text.size();
    changed = now.prefix_text + std::string(piece);
    piece = changed;
  }
  if (!now.cut) return pass_on(piece, front);
  for (const Segment& segment : segments(*now.cut, piece)) {
    const std::size_t end = std::min(front, segment.end);
    pass_on(piece.substr(segment.begin, segment.end - segment.begin),
            end - std::min(end, segment.begin));
  }
}

std::vector<PreTokenizer::Segment> PreTokenizer::segments(const Cut& cut, std::string_view text) {
  std::vector<Segment> all;
  std::size_t at = 0;
  cut.pattern.each_match(text, [&](std::size_t begin, std::size_t end) {
    if (begin > at) all.push_back({at, begin, cut.invert});
    all.push_back({begin, end, !cut.invert});
    at = end;
  });
  if (at < text.size()) all.push_back({at, text.size(), cut.invert});

  if (cut.behavior == Behavior::Isolated) return all;
  if (cut.behavior == Behavior::Removed) {
    std::erase_if(all, [](const Segment& segment) { return segment.match; });
    return all;
  }
  // What is left joins segments; "next" is "previous" seen from the end.
  const bool backwards = cut.behavior == Behavior::MergedWithNext;
  if (backwards) std::reverse(all.begin(), all.end());
  std::vector<Segment> joined;
  bool last_match = false;
  for (const Segment& segment : all) {
    const bool join = cut.behavior == Behavior::Contiguous ? segment.match == last_match
                                                           : segment.match && !last_match;
    if (join && !joined.empty()) {
      joined.back().begin = std::min(joined.back().begin, segment.begin);
      joined.back().end = std::max(joined.back().end, segment.end);
    } else {
      joined.push_back(segment);
    }
    last_match = segment.match;
  }
  if (backwards) std::reverse(joined.begin(), joined.end());
  return joined;
}

}  // namespace initrt
