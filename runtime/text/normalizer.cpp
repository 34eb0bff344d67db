// The normalizers as steps.
#include "runtime/text/normalizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/text/bert_text.h"
#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::size_t kMaxSteps = 32;
constexpr int kMaxNesting = 8;

// NFKC makes 11 bytes of one (U+FDFA), spaces become three bytes each.
constexpr std::size_t kMaxGrowth = 32;
constexpr std::size_t kRoomToGrow = 1024;

std::string strip(std::string_view text, bool left, bool right, std::size_t& front) {
  while (left && !text.empty() && begins_with_space(text)) {
    const std::size_t bytes = first_character(text).size();
    text.remove_prefix(bytes);
    front -= std::min(front, bytes);
  }
  while (right && !text.empty() && begins_with_space(last_character(text))) {
    text.remove_suffix(last_character(text).size());
  }
  return std::string(text);
}

std::string strip_accents(std::string_view text, std::size_t& front) {
  std::string kept;
  std::size_t new_front = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view character = first_character(text.substr(at));
    if (!begins_with_accent(character)) kept += character;
    if (at < front) new_front = kept.size();
    at += character.size();
  }
  front = new_front;
  return kept;
}

/// What replacing leaves of the front: the reference takes the replacement of several characters
/// for that of the last of them.
std::size_t front_after(const Regex& pattern, std::string_view text, std::string_view content,
                        std::size_t front) {
  std::size_t done = 0;
  std::size_t kept = 0;
  pattern.each_match(text, [&](std::size_t begin, std::size_t end) {
    if (done >= front) return;
    kept += std::min(begin, front) - done;
    const std::string_view match = text.substr(begin, end - begin);
    const std::size_t last = match.empty() ? begin : end - last_character(match).size();
    if (last < front) kept += content.size();
    done = end;
  });
  return kept + front - std::min(done, front);
}

}  // namespace

Normalizer::Normalizer(const std::optional<JsonNode>& json) {
  if (!json) return;
  path_ = json->path();
  add(*json, 0);
}

void Normalizer::add(const JsonNode& json, int depth) {
  const JsonNode type = json.at("type");
  const std::string& name = type.string();
  if (name == "Sequence") {
    if (depth == kMaxNesting) fail("{} is nested more than {} deep", json.path(), kMaxNesting);
    const JsonNode parts = json.at("normalizers");
    for (std::size_t i = 0; i < parts.size(); ++i) add(parts.item(i), depth + 1);
    return;
  }
  if (name == "BertNormalizer") return add_bert(json);
  Step step;
  if (name == "NFC") {
    step.form = NormalForm::C;
  } else if (name == "NFD") {
    step.form = NormalForm::D;
  } else if (name == "NFKC") {
    step.form = NormalForm::KC;
  } else if (name == "NFKD") {
    step.form = NormalForm::KD;
  } else if (name == "Prepend") {
    step.kind = Kind::Prepend;
    step.content = json.at("prepend").utf8();
  } else if (name == "Replace") {
    step.kind = Kind::Replace;
    step.pattern = Regex::from_json(json.at("pattern"));
    step.content = json.at("content").utf8();
  } else if (name == "Strip") {
    step.kind = Kind::Strip;
    step.left = json.at("strip_left").boolean();
    step.right = json.at("strip_right").boolean();
  } else if (name == "StripAccents") {
    step.kind = Kind::StripAccents;
  } else if (name == "Lowercase") {
    step.kind = Kind::Lowercase;
  } else if (name == "Precompiled") {
    step.kind = Kind::Precompiled;
    step.map = Charsmap(json.at("precompiled_charsmap"));
  } else {
    type.expected(
        "a normalizer known here (\"NFC\", \"NFD\", \"NFKC\", \"NFKD\", \"Prepend\", \"Replace\", "
        "\"Strip\", \"StripAccents\", \"Lowercase\", \"Precompiled\", \"BertNormalizer\", "
        "\"Sequence\")");
  }
  if (steps_.size() == kMaxSteps) fail("{}: more than {} steps", json.path(), kMaxSteps);
  steps_.push_back(std::move(step));
}

// In the reference's order.
void Normalizer::add_bert(const JsonNode& json) {
  const bool lowercase = json.flag("lowercase", true);
  const auto add_step = [&](Kind kind) {
    if (steps_.size() == kMaxSteps) fail("{}: more than {} steps", json.path(), kMaxSteps);
    steps_.emplace_back().kind = kind;
  };
  if (json.flag("clean_text", true)) add_step(Kind::WithoutControls);
  if (json.flag("handle_chinese_chars", true)) add_step(Kind::SpacedIdeographs);
  if (json.flag("strip_accents", lowercase)) {
    add_step(Kind::Form);
    steps_.back().form = NormalForm::D;
    add_step(Kind::WithoutMarks);
  }
  if (lowercase) add_step(Kind::Lowercase);
}

std::string Normalizer::operator()(std::string_view text, std::size_t& front) const {
  const std::size_t most = kMaxGrowth * text.size() + kRoomToGrow;
  std::string normalized(text);
  for (const Step& step : steps_) {
    normalized = apply(step, normalized, most, front);
    if (normalized.size() > most) {
      fail("{}: a text of {} bytes becomes one of more than {}", path_, text.size(), most);
    }
    front = std::min(front, normalized.size());
  }
  return normalized;
}

std::string Normalizer::apply(const Step& step, std::string_view text, std::size_t most_bytes,
                              std::size_t& front) {
  switch (step.kind) {
    case Kind::Form:
      front = to_normal_form(text.substr(0, front), step.form).size();
      return to_normal_form(text, step.form);
    case Kind::Prepend:
      if (text.empty()) return {};
      if (front > 0) front += step.content.size();
      return step.content + std::string(text);
    case Kind::Replace:
      if (front > 0) front = front_after(*step.pattern, text, step.content, front);
      return step.pattern->replace(text, step.content, most_bytes);
    case Kind::Strip:
      return strip(text, step.left, step.right, front);
    case Kind::StripAccents:
      return strip_accents(text, front);
    case Kind::Lowercase:
      front = to_lower_case(text.substr(0, front)).size();
      return to_lower_case(text);
    case Kind::Precompiled:
      return step.map->apply(text, front);
    case Kind::WithoutControls:
      front = without_controls(text.substr(0, front)).size();
      return without_controls(text);
    case Kind::SpacedIdeographs:
      front = with_spaced_ideographs(text.substr(0, front)).size();
      return with_spaced_ideographs(text);
    case Kind::WithoutMarks:
      front = without_marks(text.substr(0, front)).size();
      return without_marks(text);
  }
  return {};
}

}  // namespace initrt
