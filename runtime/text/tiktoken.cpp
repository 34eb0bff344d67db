// Special tokens are those of llama_models (models/llama3 and llama4, tokenizer.py) and of Kimi's
// tokenization_kimi.py.
#include "runtime/text/tiktoken.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <unordered_set>
#include <vector>

#include "runtime/text/base64.h"
#include "runtime/text/byte_level.h"
#include "runtime/text/cut_patterns.h"
#include "runtime/text/json_node.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using nlohmann::json;

using Names = std::vector<std::string>;

void add_numbered(Names& names, std::string_view before, std::size_t first, std::size_t count) {
  names.reserve(names.size() + count);
  for (std::size_t i = first; i < first + count; ++i) {
    names.push_back(fmt::format("<|{}reserved_special_token_{}|>", before, i));
  }
}

// Those of Llama 3.1 and later; 3.0's differ where they are reserved.
Names llama3_names() {
  Names names = {"<|begin_of_text|>",
                 "<|end_of_text|>",
                 "<|reserved_special_token_0|>",
                 "<|reserved_special_token_1|>",
                 "<|finetune_right_pad_id|>",
                 "<|step_id|>",
                 "<|start_header_id|>",
                 "<|end_header_id|>",
                 "<|eom_id|>",
                 "<|eot_id|>",
                 "<|python_tag|>"};
  add_numbered(names, "", 2, 256 - names.size());
  return names;
}

Names llama4_names() {
  Names names = {"<|begin_of_text|>", "<|end_of_text|>",  "<|fim_prefix|>", "<|fim_middle|>",
                 "<|fim_suffix|>",    "<|header_start|>", "<|header_end|>", "<|eom|>",
                 "<|eot|>",           "<|step|>"};
  add_numbered(names, "text_post_train_", 0, 6);
  names.insert(names.end(), {"<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>"});
  add_numbered(names, "text_post_train_", 8, 61);
  names.insert(names.end(), {"<|image_start|>", "<|image_end|>"});
  add_numbered(names, "vision_", 0, 2);
  names.insert(names.end(), {"<|tile_x_separator|>", "<|tile_y_separator|>"});
  add_numbered(names, "vision_", 2, 4);
  names.emplace_back("<|image|>");
  add_numbered(names, "vision_", 6, 1);
  names.emplace_back("<|patch|>");
  add_numbered(names, "vision_", 7, 1041);
  add_numbered(names, "reasoning_", 0, 8);
  names.insert(names.end(), {"<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"});
  add_numbered(names, "", 0, 2048 - names.size());
  return names;
}

Names kimi_names(std::size_t first) {
  constexpr std::size_t kReserved = 256;
  Names names;
  names.reserve(kReserved);
  for (std::size_t id = first; id < first + kReserved; ++id) {
    names.push_back(fmt::format("<|reserved_token_{}|>", id));
  }
  return names;
}

// One line: a token's bytes and its rank.
bool read_line(std::string_view line, std::string& bytes, TokenId& rank) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return false;
  const std::string_view number = line.substr(space + 1);
  const auto [rest, error] = std::from_chars(number.data(), number.data() + number.size(), rank);
  if (error != std::errc() || rest != number.data() + number.size() || rank < 0) return false;
  auto decoded = from_base64(line.substr(0, space));
  if (!decoded || decoded->empty()) return false;
  bytes = *std::move(decoded);
  return true;
}

std::string_view next_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Tokens in the byte-level alphabet, with their ranks for ids.
json read_vocabulary(std::string_view text) {
  json vocabulary = json::object();
  std::unordered_set<TokenId> ranks;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = next_line(text);
    if (line.empty()) continue;
    std::string bytes;
    TokenId rank = 0;
    if (!read_line(line, bytes, rank) || rank >= kTokenIdLimit) {
      fail("line {}: {} is not a token in base64, a space and a rank below {}", number,
           in_quotes(line), kTokenIdLimit);
    }
    if (!ranks.insert(rank).second) fail("line {}: the rank {} a second time", number, rank);
    if (!vocabulary.emplace(to_byte_level(bytes), rank).second) {
      fail("line {}: the token {} a second time", number,
           in_quotes(line.substr(0, line.find(' '))));
    }
  }
  return vocabulary;
}

// Special tokens from the one with id `first` on, with the names and flags that the config gives
// them.
json special_tokens(const Names& names, std::size_t first, const JsonNode& config) {
  std::map<TokenId, json> tokens;
  for (const std::string& name : names) {
    const auto id = static_cast<TokenId>(first + tokens.size());
    tokens.emplace(id, added_token_json(id, name, true, false));
  }
  if (const auto decoder = config.find("added_tokens_decoder")) {
    if (!decoder->value().is_object()) decoder->expected("an object of id to token");
    for (const auto& [key, value] : decoder->value().items()) {
      const JsonNode entry = decoder->at(key);
      TokenId id = -1;
      const auto [rest, error] = std::from_chars(key.data(), key.data() + key.size(), id);
      if (error != std::errc() || rest != key.data() + key.size() || id < 0) {
        fail("{}: {} is no token id", decoder->path(), in_quotes(key));
      }
      tokens[id] =
          added_token_json(id, entry.at("content").utf8(), entry.flag("special", true), false);
    }
  }
  json list = json::array();
  for (auto& [id, token] : tokens) list.push_back(std::move(token));
  return list;
}

bool is_kimi(const TiktokenFiles& files, const JsonNode& config) {
  const auto named = config.find("tokenizer_class");
  return files.name == "tiktoken.model" || files.model_type.starts_with("kimi") ||
         (named && named->string() == "TikTokenTokenizer");
}

}  // namespace

bool is_tiktoken(std::string_view content) {
  std::string bytes;
  TokenId rank = 0;
  constexpr std::size_t kLongestLine = 4096;
  content = content.substr(0, kLongestLine);
  return read_line(next_line(content), bytes, rank);
}

VocabTokenizer tokenizer_json_from_tiktoken(const TiktokenFiles& files) {
  constexpr std::size_t kLlama4Tokens = 200'000;
  const JsonNode config(files.config, "tokenizer_config.json");
  json vocabulary = read_vocabulary(files.vocabulary);
  const std::size_t count = vocabulary.size();
  VocabTokenizer made;
  if (is_kimi(files, config)) {
    made.json = ranked_tokenizer_json(std::move(vocabulary), std::string(kKimiPattern),
                                      special_tokens(kimi_names(count), count, config), nullptr);
    return made;
  }
  const bool llama4 = files.model_type.starts_with("llama4") || count >= kLlama4Tokens;
  json added = special_tokens(llama4 ? llama4_names() : llama3_names(), count, config);
  made.begin_token = "<|begin_of_text|>";
  made.end_token = "<|end_of_text|>";
  made.json = ranked_tokenizer_json(std::move(vocabulary),
                                    std::string(llama4 ? kGpt4oPattern : kLlama3Pattern),
                                    std::move(added), begin_with_json(*made.begin_token, count));
  return made;
}

}  // namespace initrt
