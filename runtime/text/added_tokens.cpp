// Reading and finding of added tokens.
#include "runtime/text/added_tokens.h"

#include <utf8proc.h>

#include <algorithm>

#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {
namespace {

/// The code point of the first character of valid, non-empty UTF-8.
utf8proc_int32_t first_code_point(std::string_view text) {
  utf8proc_int32_t code_point = -1;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &code_point);
  return code_point;
}

/// The last character of valid, non-empty UTF-8.
std::string_view last_character(std::string_view text) {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return text.substr(begin);
}

/// Unicode's White_Space.
bool is_space(std::string_view character) {
  const utf8proc_int32_t code_point = first_code_point(character);
  if ((code_point >= 0x09 && code_point <= 0x0D) || code_point == 0x85) return true;
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return true;
    default:
      return false;
  }
}

/// \w of Unicode's Technical Standard 18: letters, marks, decimal digits, connectors, joiners, and
/// the symbols that count as alphabetic (circled and squared letters).
bool is_word(std::string_view character) {
  const utf8proc_int32_t code_point = first_code_point(character);
  if (code_point == 0x200C || code_point == 0x200D) return true;
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    case UTF8PROC_CATEGORY_SO:
      return (code_point >= 0x24B6 && code_point <= 0x24E9) ||
             (code_point >= 0x1F130 && code_point <= 0x1F149) ||
             (code_point >= 0x1F150 && code_point <= 0x1F169) ||
             (code_point >= 0x1F170 && code_point <= 0x1F189);
    default:
      return false;
  }
}

}  // namespace

std::vector<AddedToken> read_added_tokens(const std::optional<JsonNode>& json, const Bpe& model) {
  std::vector<AddedToken> tokens;
  if (!json) return tokens;
  std::unordered_map<TokenId, std::size_t> by_id;
  std::unordered_map<std::string, std::size_t> by_content;
  for (std::size_t i = 0; i < json->size(); ++i) {
    const JsonNode entry = json->item(i);
    AddedToken token;
    token.id = entry.at("id").token_id();
    token.content = entry.at("content").string();
    // Bytes that are no character would match inside one, and cut it.
    if (to_valid_utf8(token.content) != token.content) entry.at("content").expected("UTF-8");
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
  std::stable_sort(tokens.begin(), tokens.end(), [](const AddedToken& a, const AddedToken& b) {
    return a.content.size() > b.content.size();
  });
  for (AddedToken& token : tokens) {
    by_first_byte_[static_cast<unsigned char>(token.content[0])].push_back(std::move(token));
  }
}

const AddedToken* AddedTokenFinder::longest_at(std::string_view text) const {
  for (const AddedToken& token : by_first_byte_[static_cast<unsigned char>(text[0])]) {
    if (text.starts_with(token.content)) return &token;
  }
  return nullptr;
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
    if (token->single_word && ((begin > 0 && is_word(last_character(text.substr(0, begin)))) ||
                               (end < text.size() && is_word(text.substr(end))))) {
      continue;
    }
    if (token->lstrip) {
      begin = std::max(begin, done);
      while (begin > done) {
        const std::string_view space = last_character(text.substr(done, begin - done));
        if (!is_space(space)) break;
        begin -= space.size();
      }
    }
    if (token->rstrip) {
      while (end < text.size() && is_space(text.substr(end))) {
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
