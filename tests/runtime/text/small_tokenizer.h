// A small byte-level tokenizer.json for tests, to be changed where a test needs it, and the
// check that making a tokenizer of it fails with one clear line.
#pragma once

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/text/byte_level.h"
#include "runtime/text/tokenizer.h"
#include "sharding/error.h"

namespace initrt {

/// Ids 0-255 are the bytes; then "he", "ll", "llo", "hello", "Ġhello" with the merges for them.
inline nlohmann::json small_tokenizer() {
  nlohmann::json vocab = nlohmann::json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocab[to_byte_level(std::string(1, static_cast<char>(byte)))] = byte;
  }
  int id = 256;
  for (const char* token : {"he", "ll", "llo", "hello", "Ġhello"}) vocab[token] = id++;
  const nlohmann::json byte_level = {{"type", "ByteLevel"},
                                     {"add_prefix_space", false},
                                     {"trim_offsets", true},
                                     {"use_regex", true}};
  return {{"version", "1.0"},
          {"added_tokens", nlohmann::json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"vocab", vocab},
            {"merges", {"h e", "l l", "ll o", "he llo", "Ġ hello"}}}}};
}

inline nlohmann::json added_token(TokenId id, const std::string& content, bool special) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

inline std::vector<TokenId> encode(const nlohmann::json& tokenizer, std::string_view text) {
  return make_tokenizer(tokenizer)->encode(text);
}

inline std::string decode(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::string text;
  for (const TokenId id : ids) text += tokenizer.token_bytes(id);
  return text;
}

/// The text of the Error that `action` throws; empty where it throws none.
template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace initrt
