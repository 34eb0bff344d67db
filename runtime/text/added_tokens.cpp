// Reading and finding of added tokens.
#include "runtime/text/added_tokens.h"

#include <algorithm>

#include "runtime/text/characters.h"
#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {
std::vector<AddedToken> read_added_tokens(const std::optional<JsonNode>& json,
                                          const TokenModel& model) {
  std::vector<AddedToken> tokens;
  if (!json) return tokens;
  std::unordered_map<TokenId, std::size_t> by_id;
  std::unordered_map<std::string, std::size_t> by_content;
  for (std::size_t i = 0; i < json->size(); ++i) {
    const JsonNode entry = json->item(i);
    AddedToken token;
    token.id = entry.at("id").token_id();
    token.content = entry.at("content").utf8();  // else it would match inside a character
    token.special = entry.at("special").boolean();
    token.single_word = entry.flag("single_word", false);
    token.lstrip = entry.flag("lstrip", false);
    token.rstrip = entry.flag("rstrip", false);
    token.normalized = entry.flag("normalized", !token.special);
    if (token.content.empty()) continue;  // can be found nowhere; the reference skips it as well

    const std::optional<TokenId> known = model.id_of(token.content);
    if (known && *known != token.id) {
      fail("{}: {} has id {} here, but {} in the model's vocabulary", entry.path(),
           in_quotes(token.content), token.id, *known);
    }
    const std::optional<std::string_view> owner = model.token_of(token.id);
    if (owner && *owner != token.content) {
      fail("{}: {} has id {}, which is that of {} in the model's vocabulary", entry.path(),
           in_quotes(token.content), token.id, in_quotes(*owner));
    }
    if (!by_id.emplace(token.id, i).second) {
      fail("{}: id {} is also that of added_tokens[{}]", entry.path(), token.id,
           by_id.at(token.id));
    }
    if (!by_content.emplace(token.content, i).second) {
      fail("{}: {} is also added_tokens[{}]", entry.path(), in_quotes(token.content),
           by_content.at(token.content));
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) {
  std::vector<std::pair<std::string, AddedToken>> entries;
  for (AddedToken& token : tokens) {
    if (token.content.empty()) continue;  // nothing is left of it once it is normalized
    begins_[static_cast<unsigned char>(token.content[0])] = true;
    std::string content = token.content;
    entries.emplace_back(std::move(content), std::move(token));
  }
  tokens_ = Prefixes<AddedToken>(std::move(entries));
}

const AddedToken* AddedTokenFinder::longest_at(std::string_view text) const {
  const AddedToken* longest = nullptr;
  if (!begins_[static_cast<unsigned char>(text[0])]) return longest;
  tokens_.each(text, [&](const AddedToken& token, std::size_t) { longest = &token; });
  return longest;
}

void AddedTokenFinder::split(std::string_view text,
                             const std::function<void(std::string_view)>& on_text,
                             const std::function<void(TokenId)>& on_token) const {
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const AddedToken* token = longest_at(text.substr(at));
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at + token->content.size();
    // The search goes on behind the content, whatever is stripped: whitespace that two tokens
    // want counts for both, as in the reference.
    at = end;
    if (token->single_word &&
        ((begin > 0 && begins_with_word(last_character(text.substr(0, begin)))) ||
         (end < text.size() && begins_with_word(text.substr(end))))) {
      continue;
    }
    if (token->lstrip) {
      begin = std::max(begin, done);
      while (begin > done) {
        const std::string_view space = last_character(text.substr(done, begin - done));
        if (!begins_with_space(space)) break;
        begin -= space.size();
      }
    }
    if (token->rstrip) {
      while (end < text.size() && begins_with_space(text.substr(end))) {
        end += utf8_step(text.substr(end)).bytes;
      }
    }
    if (begin >= end) continue;  // the token before took all of it
    if (begin > done) on_text(text.substr(done, begin - done));
    on_token(token->id);
    done = end;
  }
  if (done < text.size()) on_text(text.substr(done));
}

}  // namespace initrt
