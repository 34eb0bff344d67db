#include "runtime/text/vocab_txt.h"

#include <algorithm>

#include "runtime/text/json_node.h"
#include "runtime/text/utf8.h"
#include "runtime/text/vocab_merges.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using nlohmann::json;

json read_vocabulary(std::string_view text) {
  json vocabulary = json::object();
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (to_valid_utf8(line) != line) fail("line {}: {} is not UTF-8", number, in_quotes(line));
    if (number > kTokenIdLimit) fail("line {}: more than {} tokens", number, kTokenIdLimit);
    const auto [known, is_new] = vocabulary.emplace(line, number - 1);
    if (!is_new) {
      fail("line {}: {} is also line {}", number, in_quotes(line), known->get<TokenId>() + 1);
    }
  }
  return vocabulary;
}

}  // namespace

VocabTokenizer tokenizer_json_from_vocab_txt(std::string_view text, const json& config_json) {
  const JsonNode config(config_json, "tokenizer_config.json");
  json vocabulary = read_vocabulary(text);
  json added = json::array();
  const auto special = [&](const char* role, const char* usual) {
    const std::string token = special_token_text(config_json, role).value_or(usual);
    const auto found = vocabulary.find(token);
    if (found == vocabulary.end()) {
      fail("{} is {}, which is no line of it", role, in_quotes(token));
    }
    added.push_back(added_token_json(*found, token, true, false));
    return json{token, *found};
  };
  const json unknown = special("unk_token", "[UNK]");
  const json sep = special("sep_token", "[SEP]");
  (void)special("pad_token", "[PAD]");
  const json cls = special("cls_token", "[CLS]");
  (void)special("mask_token", "[MASK]");
  const auto strip_accents = config.find("strip_accents");
  VocabTokenizer made;
  made.json = {{"version", "1.0"},
               {"added_tokens", std::move(added)},
               {"normalizer",
                {{"type", "BertNormalizer"},
                 {"clean_text", true},
                 {"handle_chinese_chars", config.flag("tokenize_chinese_chars", true)},
                 {"strip_accents", strip_accents ? json(strip_accents->boolean()) : json()},
                 {"lowercase", config.flag("do_lower_case", true)}}},
               {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
               {"post_processor", {{"type", "BertProcessing"}, {"sep", sep}, {"cls", cls}}},
               {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
               {"model",
                {{"type", "WordPiece"},
                 {"unk_token", unknown[0]},
                 {"continuing_subword_prefix", "##"},
                 {"max_input_chars_per_word", 100},
                 {"vocab", std::move(vocabulary)}}}};
  return made;
}

}  // namespace initrt
