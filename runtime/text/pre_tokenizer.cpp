// ByteLevel, Digits, Split and Sequence as steps.
#include "runtime/text/pre_tokenizer.h"

#include <algorithm>

#include "runtime/text/byte_level.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// GPT-2's pattern (Radford et al. 2019, encoder.py), which ByteLevel has built in.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Digits asks Rust's char::is_numeric, which is one Unicode version (17) ahead of the
// reference's regular expressions.
constexpr std::string_view kNumeric = R"([\p{N}\x{11DE0}-\x{11DE9}\x{16FF4}-\x{16FF6}])";

// Steps run by recursion and each may look at the whole text: a file cannot ask for more.
constexpr std::size_t kMostSteps = 32;
constexpr int kMostNesting = 8;

}  // namespace

PreTokenizer::PreTokenizer(const std::optional<JsonNode>& json) {
  if (json) add(*json, 0);
}

void PreTokenizer::add(const JsonNode& json, int depth) {
  const JsonNode type = json.at("type");
  if (type.string() == "Sequence") {
    if (depth == kMostNesting) fail("{} is nested more than {} deep", json.path(), kMostNesting);
    const JsonNode parts = json.at("pretokenizers");
    for (std::size_t i = 0; i < parts.size(); ++i) add(parts.item(i), depth + 1);
    return;
  }
  Step step;
  if (type.string() == "ByteLevel") {
    step.prefix_space = json.at("add_prefix_space").boolean();
    if (json.flag("use_regex", true)) {
      step.cut = Cut{Regex::from_oniguruma(kGpt2Pattern, json.path())};
    }
    // Bytes of bytes: each time the text would grow by half, without end.
    if (std::any_of(steps_.begin(), steps_.end(), [](const Step& s) { return s.byte_level; })) {
      fail("{}: ByteLevel a second time", json.path());
    }
    step.byte_level = true;
  } else if (type.string() == "Digits") {
    const bool individual = json.flag("individual_digits", false);
    step.cut = Cut{Regex::from_oniguruma(kNumeric, json.path()),
                   individual ? Behavior::Isolated : Behavior::Contiguous};
  } else if (type.string() == "Split") {
    const JsonNode pattern = json.at("pattern");
    const std::optional<JsonNode> regex = pattern.find("Regex");
    const JsonNode text = regex ? *regex : pattern.at("String");
    step.cut = Cut{regex ? Regex::from_oniguruma(text.string(), text.path())
                         : Regex::literal(text.string(), text.path()),
                   behavior_of(json.at("behavior")), json.at("invert").boolean()};
  } else {
    type.expected(
        "a pre-tokenizer known here (\"ByteLevel\", \"Digits\", \"Split\", \"Sequence\")");
  }
  if (steps_.size() == kMostSteps) fail("{}: more than {} steps", json.path(), kMostSteps);
  steps_.push_back(std::move(step));
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

void PreTokenizer::split(std::string_view text,
                         const std::function<void(std::string_view)>& word) const {
  run(0, text, word);
}

void PreTokenizer::run(std::size_t step, std::string_view piece,
                       const std::function<void(std::string_view)>& word) const {
  if (piece.empty()) return;
  if (step == steps_.size()) return word(piece);
  const Step& now = steps_[step];
  const auto pass_on = [&](std::string_view part) {
    if (now.byte_level) {
      run(step + 1, to_byte_level(part), word);
    } else {
      run(step + 1, part, word);
    }
  };
  std::string prefixed;
  if (now.prefix_space && !piece.starts_with(' ')) {
    prefixed.push_back(' ');
    prefixed.append(piece);
    piece = prefixed;
  }
  if (!now.cut) return pass_on(piece);
  for (const Segment& segment : segments(*now.cut, piece)) {
    pass_on(piece.substr(segment.begin, segment.end - segment.begin));
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
