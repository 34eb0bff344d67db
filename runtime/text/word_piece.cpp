#include "runtime/text/word_piece.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/text/characters.h"
#include "sharding/error.h"

namespace initrt {

WordPiece::WordPiece(const JsonNode& model)
    : continuing_(model.at("continuing_subword_prefix").utf8()),
      most_characters_(model.at("max_input_chars_per_word").count()) {
  const JsonNode vocabulary = model.at("vocab");
  read_vocabulary(vocabulary);
  for (const auto& [token, id] : vocabulary.value().items()) {
    longest_ = std::max(longest_, token.size());
  }
  const JsonNode unknown = model.at("unk_token");
  const std::optional<TokenId> id = id_of(unknown.string());
  if (!id) unknown.expected("a token of the vocabulary");
  unknown_ = *id;
}

void WordPiece::encode(std::string_view word, std::vector<TokenId>& ids) const {
  const std::size_t before = ids.size();
  const auto give_up = [&] {
    ids.resize(before);
    ids.push_back(unknown_);
  };
  std::vector<std::size_t> ends = {0};  // of the word's characters
  while (ends.back() < word.size()) {
    if (ends.size() > most_characters_) return give_up();
    ends.push_back(ends.back() + first_character(word.substr(ends.back())).size());
  }
  for (std::size_t begin = 0; begin + 1 < ends.size();) {
    const std::string prefix = begin == 0 ? "" : continuing_;
    // No token is longer.
    const std::size_t limit = ends[begin] + longest_ - std::min(prefix.size(), longest_);
    auto end =
        static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), limit) - ends.begin()) -
        1;
    std::optional<TokenId> found;
    for (; end > begin; --end) {
      found = id_of(prefix + std::string(word.substr(ends[begin], ends[end] - ends[begin])));
      if (found) break;
    }
    if (!found) return give_up();
    ids.push_back(*found);
    begin = end;
  }
}

}  // namespace initrt
