#include "runtime/text/gguf_merges.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using nlohmann::json;

// Sizes that no real vocabulary comes near (Gemma's: 96 bytes, 2.3 merges for each token), and that
// keep what is made of a file within its own size, times a constant.
constexpr std::size_t kMaxTokenBytes = 1024;
constexpr std::size_t kMaxMergesPerToken = 16;

std::vector<double> scores_of(const JsonNode& metadata, const GgufTokens& tokens) {
  const JsonNode all = metadata.at("tokenizer.ggml.scores");
  if (all.size() != tokens.texts.size()) {
    fail("{} has {} entries, but tokenizer.ggml.tokens has {}", all.path(), all.size(),
         tokens.texts.size());
  }
  std::vector<double> scores;
  for (std::size_t id = 0; id < all.size(); ++id) {
    const json& score = all.value()[id];
    if (!score.is_number() || !std::isfinite(score.get<double>())) {
      all.item(id).expected("a number that is finite");
    }
    scores.push_back(score.get<double>());
  }
  return scores;
}

struct Merge {
  double score = 0;
  std::string_view left, right;
  std::size_t left_id = 0, right_id = 0;
};

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
  }));
}

}  // namespace

GgufTokens gguf_tokens(const JsonNode& metadata) {
  const JsonNode all = metadata.at("tokenizer.ggml.tokens");
  const std::size_t count = all.size();
  if (count >= kTokenIdLimit) fail("{}: {} tokens are too many", all.path(), count);
  const std::optional<JsonNode> types = metadata.find("tokenizer.ggml.token_type");
  if (types && types->size() != count) {
    fail("{} has {} entries, but tokenizer.ggml.tokens has {}", types->path(), types->size(),
         count);
  }
  GgufTokens tokens;
  tokens.vocabulary = json::object();
  for (std::size_t id = 0; id < count; ++id) {
    const json& value = all.value()[id];
    if (!value.is_string()) all.item(id).expected("a string");
    const auto& token = value.get_ref<const std::string&>();
    if (to_valid_utf8(token) != token) all.item(id).expected("UTF-8, as JSON needs");
    const auto [entry, is_new] = tokens.vocabulary.emplace(token, id);
    if (!is_new) {
      fail("{}[{}]: {} is also the token of id {}", all.path(), id, in_quotes(token),
           entry->dump());
    }
    tokens.texts.push_back(&token);
    auto type = GgufTokenType::Normal;
    if (types) {
      const json& number = types->value()[id];
      if (!number.is_number_integer()) types->item(id).expected("an integer");
      for (const auto known :
           {GgufTokenType::Unknown, GgufTokenType::Control, GgufTokenType::UserDefined,
            GgufTokenType::Unused, GgufTokenType::Byte}) {
        if (number == static_cast<int>(known)) type = known;
      }
    }
    tokens.types.push_back(type);
  }
  return tokens;
}

json listed_merges(const JsonNode& metadata) {
  const JsonNode all = metadata.at("tokenizer.ggml.merges");
  for (std::size_t i = 0; i < all.size(); ++i) {
    const json& merge = all.value()[i];
    if (!merge.is_string()) all.item(i).expected("a string");
    const auto& text = merge.get_ref<const std::string&>();
    if (std::count(text.begin(), text.end(), ' ') != 1) {
      all.item(i).expected("two tokens with one space between");
    }
  }
  return all.value();
}

json merges_by_score(const JsonNode& metadata, const GgufTokens& tokens) {
  const std::vector<double> scores = scores_of(metadata, tokens);
  std::unordered_map<std::string_view, std::size_t> ids;
  for (std::size_t id = 0; id < tokens.texts.size(); ++id) {
    if (tokens.texts[id]->size() > kMaxTokenBytes) {
      fail("{}tokenizer.ggml.tokens[{}]: a token of {} bytes, more than the {} that it may have",
           metadata.path(), id, tokens.texts[id]->size(), kMaxTokenBytes);
    }
    // Others are found in the text as they are, or stand for a byte.
    const GgufTokenType type = tokens.types[id];
    if (type == GgufTokenType::Normal || type == GgufTokenType::Unused) {
      ids.emplace(*tokens.texts[id], id);
    }
  }
  std::vector<Merge> merges;
  for (const auto& [token, id] : ids) {
    for (std::size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = ids.find(token.substr(0, cut));
      if (left == ids.end()) continue;
      const auto right = ids.find(token.substr(cut));
      if (right == ids.end()) continue;
      merges.push_back({scores[id], left->first, right->first, left->second, right->second});
    }
    if (merges.size() > kMaxMergesPerToken * tokens.texts.size()) {
      fail("{}tokenizer.ggml.tokens can be made of one another in too many ways", metadata.path());
    }
  }
  const auto order = [](const Merge& m) {
    return std::tuple(-m.score, -static_cast<std::ptrdiff_t>(characters(m.left)),
                      -static_cast<std::ptrdiff_t>(characters(m.right)), m.left_id, m.right_id);
  };
  std::sort(merges.begin(), merges.end(),
            [&](const Merge& a, const Merge& b) { return order(a) < order(b); });
  json listed = json::array();
  for (const Merge& merge : merges) listed.push_back({merge.left, merge.right});
  return listed;
}

}  // namespace initrt
