// The decoders as steps.
#include "runtime/text/decoder.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/text/byte_level.h"
#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::size_t kMaxSteps = 32;
constexpr int kMaxNesting = 8;
constexpr std::size_t kMaxTokenBytes = 1u << 20;  // of a decoded one

/// The byte of "<0x0A>", or nothing where it is no such token.
std::optional<char> byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return std::nullopt;
  unsigned char byte = 0;
  const char* const end = token.data() + 5;
  const auto [parsed, error] = std::from_chars(token.data() + 3, end, byte, 16);
  if (error != std::errc() || parsed != end) return std::nullopt;
  return static_cast<char>(byte);
}

std::string_view strip(std::string_view token, std::string_view character, std::size_t start,
                       std::size_t stop) {
  for (; start > 0 && token.starts_with(character); --start) {
    token.remove_prefix(character.size());
  }
  for (; stop > 0 && token.ends_with(character); --stop) token.remove_suffix(character.size());
  return token;
}

/// A token that continues a word without its mark, another one with a space before it, but for
/// signs that need none. The first one of a text has that space too: tokens come one by one.
std::string word_piece(std::string_view token, std::string_view prefix, bool cleanup) {
  const bool continues = !prefix.empty() && token.starts_with(prefix);
  std::string text =
      continues ? std::string(token.substr(prefix.size())) : " " + std::string(token);
  constexpr std::pair<std::string_view, std::string_view> kCleaned[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  if (!cleanup) return text;
  for (const auto& [from, to] : kCleaned) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
      text.replace(at, from.size(), to);
    }
  }
  return text;
}

}  // namespace

Decoder::Decoder(const JsonNode& json) { add(json, 0); }

void Decoder::add(const JsonNode& json, int depth) {
  const JsonNode type = json.at("type");
  const std::string& name = type.string();
  if (name == "Sequence") {
    if (depth == kMaxNesting) fail("{} is nested more than {} deep", json.path(), kMaxNesting);
    const JsonNode parts = json.at("decoders");
    for (std::size_t i = 0; i < parts.size(); ++i) add(parts.item(i), depth + 1);
    return;
  }
  if (name == "Strip") return add_strip(json);
  if (name == "Fuse") {
    fused_ = true;
    return;
  }
  Step step;
  if (name == "ByteLevel") {
    step.kind = Kind::ByteLevel;
  } else if (name == "Replace") {
    step.kind = Kind::Replace;
    step.pattern = Regex::from_json(json.at("pattern"));
    step.content = json.at("content").utf8();
  } else if (name == "Metaspace") {
    step.kind = Kind::Replace;
    const JsonNode replacement = json.at("replacement");
    step.pattern = Regex::literal(replacement.character(), replacement.path());
    step.content = " ";
  } else if (name == "ByteFallback") {
    step.kind = Kind::ByteFallback;
  } else if (name == "WordPiece") {
    step.kind = Kind::WordPiece;
    step.content = json.at("prefix").utf8();
    step.cleanup = json.flag("cleanup", true);
  } else {
    type.expected(
        "a decoder known here (\"ByteLevel\", \"Replace\", \"Metaspace\", \"ByteFallback\", "
        "\"Fuse\", \"Strip\", \"WordPiece\", \"Sequence\")");
  }
  if (fused_) {
    fail("{}: {} after \"Fuse\" or \"ByteLevel\" needs a whole text, and tokens come one by one",
         json.path(), in_quotes(name));
  }
  if (steps_.size() == kMaxSteps) fail("{}: more than {} steps", json.path(), kMaxSteps);
  fused_ = step.kind == Kind::ByteLevel;
  steps_.push_back(std::move(step));
}

void Decoder::add_strip(const JsonNode& json) {
  Step step;
  step.kind = Kind::Strip;
  step.content = json.at("content").character();
  step.start = json.at("start").count();
  step.stop = json.at("stop").count();
  if (!fused_) {
    if (steps_.size() == kMaxSteps) fail("{}: more than {} steps", json.path(), kMaxSteps);
    steps_.push_back(std::move(step));
  } else if (step.stop != 0) {
    json.at("stop").expected("0: the end of a text is not known before it is there");
  }
}

std::string Decoder::operator()(std::string_view token) const {
  std::string text(token);
  for (const Step& step : steps_) {
    switch (step.kind) {
      case Kind::ByteLevel:
        if (std::optional<std::string> bytes = from_byte_level(text)) text = std::move(*bytes);
        break;
      case Kind::Replace:
        text = step.pattern->replace(text, step.content, kMaxTokenBytes);
        break;
      case Kind::ByteFallback:
        if (const std::optional<char> byte = byte_of(text)) return {*byte};
        break;
      case Kind::WordPiece:
        text = word_piece(text, step.content, step.cleanup);
        break;
      case Kind::Strip:
        text = strip(text, step.content, step.start, step.stop);
        break;
    }
  }
  return text;
}

}  // namespace initrt
