// Reading of the unigram model, and Viterbi's search: O(n · longest token) in the word's length.
#include "runtime/text/unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// How much worse an unknown character is than the worst token: SentencePiece's kUnkPenalty.
constexpr double kUnknownPenalty = 10;

}  // namespace

Unigram::Unigram(const JsonNode& model) : path_(model.path()) {
  read_pieces(model.at("vocab"));
  if (model.flag("byte_fallback", false)) use_byte_tokens();
  if (const std::optional<JsonNode> unknown = model.find("unk_id")) {
    unknown_ = unknown->token_id();
    if (!token_of(*unknown_)) unknown->expected("the id of a token");
  }
}

void Unigram::read_pieces(const JsonNode& json) {
  const std::size_t count = json.size();
  if (count == 0) fail("{} is empty", json.path());
  if (count >= kTokenIdLimit) fail("{}: {} tokens are too many", json.path(), count);
  std::vector<std::pair<std::string, Piece>> pieces;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t id = 0; id < count; ++id) {
    const nlohmann::json& entry = json.value()[id];
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      json.item(id).expected("a token and its score");
    }
    const auto& token = entry[0].get_ref<const std::string&>();
    const Piece piece{static_cast<TokenId>(id), entry[1].get<double>()};
    if (!std::isfinite(piece.score)) json.item(id).expected("a token and a score that is finite");
    add_token(token, piece.id, json);
    least = std::min(least, piece.score);
    // Bytes that are no characters would end inside one.
    if (!token.empty() && to_valid_utf8(token) == token) pieces.emplace_back(token, piece);
  }
  pieces_ = Prefixes<Piece>(std::move(pieces));
  unknown_score_ = least - kUnknownPenalty;
}

std::vector<Unigram::Node> Unigram::best_paths(std::string_view word) const {
  std::vector<Node> ends(word.size() + 1);
  const auto offer = [&](std::size_t begin, std::size_t end, TokenId id, double score) {
    Node& node = ends[end];
    const double sum = score + ends[begin].score;
    if (!node.reached || sum > node.score) node = {id, begin, sum, true};
  };
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t character = utf8_step(word.substr(at)).bytes;
    bool has_character = false;
    pieces_.each(word.substr(at), [&](const Piece& piece, std::size_t bytes) {
      offer(at, at + bytes, piece.id, piece.score);
      has_character = has_character || bytes == character;
    });
    if (!has_character) {
      if (!unknown_) {
        fail("{}: {} has no token, and there is no unk_id", path_,
             in_quotes(word.substr(at, character)));
      }
      offer(at, at + character, *unknown_, unknown_score_);
    }
    at += character;
  }
  return ends;
}

void Unigram::encode(std::string_view word, std::vector<TokenId>& ids) const {
  const std::vector<Node> ends = best_paths(word);
  std::vector<std::pair<std::size_t, TokenId>> path;  // from the last: begin, id
  for (std::size_t end = word.size(); end > 0; end = ends[end].begin) {
    const Node& node = ends[end];
    if (node.id == unknown_ && !path.empty() && path.back().second == *unknown_) {
      path.back().first = node.begin;
    } else {
      path.emplace_back(node.begin, node.id);
    }
  }
  for (auto token = path.rbegin(); token != path.rend(); ++token) {
    const std::size_t end = std::next(token) == path.rend() ? word.size() : std::next(token)->first;
    const std::string_view text = word.substr(token->first, end - token->first);
    const auto append = [&](TokenId id) { ids.push_back(id); };
    if (const std::optional<TokenId> known = id_of(text)) {
      append(*known);  // as the reference: several unknown characters may be a token together
    } else if (!append_bytes(text, append)) {
      append(token->second);
    }
  }
}

}  // namespace initrt
