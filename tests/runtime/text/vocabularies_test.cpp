// What is malformed in vocabularies of ranks and of word pieces; what they encode is in
// ranked_golden_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "runtime/text/base64.h"
#include "runtime/text/tekken.h"
#include "runtime/text/tiktoken.h"
#include "runtime/text/tokenizer.h"
#include "runtime/text/vocab_txt.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string tiktoken_error(const std::string& vocabulary, const json& config = json::object()) {
  return error_of([&] {
    (void)make_tokenizer(
        tokenizer_json_from_tiktoken({"tokenizer.model", vocabulary, config, "llama"}).json);
  });
}

TEST(Base64, IsReadWithItsPadding) {
  EXPECT_EQ(from_base64("aGk="), "hi");
  EXPECT_EQ(from_base64("AP8Q"), std::string("\0\xFF\x10", 3));
  EXPECT_EQ(from_base64(""), "");
  for (const char* text : {"aGk", "aGl=", "a===", "====", "aG=k", "aGk=\n", "a-k="}) {
    EXPECT_EQ(from_base64(text), std::nullopt) << text;
  }
}

TEST(TiktokenFile, IsKnownByItsFirstLine) {
  EXPECT_TRUE(is_tiktoken("IQ== 0\nIg== 1\n"));
  EXPECT_TRUE(is_tiktoken("IQ== 0\r\n"));
  for (const char* text : {"", "{\"a\": 1}", "\x0A\x0E\x0A\x05<unk>", "IQ==\n", "IQ== x\n", " 0\n",
                           "hello world\n", "IQ== -1\n", "IQ== 0 1\n"}) {
    EXPECT_FALSE(is_tiktoken(text)) << text;
  }
}

TEST(TiktokenFile, WhatIsMalformedIsNamedByItsLine) {
  EXPECT_EQ(tiktoken_error("IQ== 0\nIg==\n"),
            "line 2: \"Ig==\" is not a token in base64, a space and a rank below 16777216");
  EXPECT_THAT(tiktoken_error("IQ== 0\n\n*** 1\n"), HasSubstr("line 3: \"*** 1\""));
  EXPECT_THAT(tiktoken_error("IQ== 16777216\n"), HasSubstr("line 1: "));
  EXPECT_EQ(tiktoken_error("IQ== 0\nIg== 0\n"), "line 2: the rank 0 a second time");
  EXPECT_EQ(tiktoken_error("IQ== 0\nIQ== 1\n"), "line 2: the token \"IQ==\" a second time");
  EXPECT_EQ(tiktoken_error("IQ== 0\n"),
            "tokenizer.json: model.vocab: no token is the byte 0x00 alone");
  EXPECT_EQ(tiktoken_error("IQ== 0\n", {{"added_tokens_decoder", {{"x", {{"content", "a"}}}}}}),
            "tokenizer_config.json: added_tokens_decoder: \"x\" is no token id");
}

json tekken() {
  return json::parse(R"({"config": {"pattern": ".", "default_vocab_size": 3,
                                    "default_num_special_tokens": 2},
                         "vocab": [{"rank": 0, "token_bytes": "AA=="},
                                   {"rank": 1, "token_bytes": "AQ=="}]})");
}

TEST(TekkenFile, HasItsSpecialTokensFirst) {
  EXPECT_TRUE(is_tekken(tekken()));
  EXPECT_FALSE(is_tekken(json::parse(R"({"model": {"vocab": {}}})")));
  const json made = tokenizer_json_from_tekken(tekken()).json;
  EXPECT_EQ(made["added_tokens"][1]["content"], "<s>");
  EXPECT_EQ(made["model"]["vocab"].size(), 1u) << "cut to default_vocab_size";
  EXPECT_EQ(made["model"]["vocab"].begin().value(), 2);
}

TEST(TekkenFile, WhatIsMalformedIsNamedByItsMember) {
  const auto error_with = [](const char* pointer, const json& value) {
    json content = tekken();
    content[json::json_pointer(pointer)] = value;
    return error_of([&] { (void)tokenizer_json_from_tekken(content); });
  };
  EXPECT_EQ(error_with("/vocab/0/token_bytes", "A"),
            "tekken.json: vocab[0].token_bytes must be the bytes of a token in base64, but is "
            "\"A\"");
  EXPECT_EQ(error_with("/vocab/0/rank", 5),
            "tekken.json: vocab[0].rank must be 0, its place, but is 5");
  EXPECT_EQ(error_with("/config/default_vocab_size", 9),
            "tekken.json: config.default_vocab_size must be from 2 special tokens to those and the "
            "2 of vocab, but is 9");
  EXPECT_THAT(error_with("/config/pattern", 3), HasSubstr("config.pattern"));
  EXPECT_EQ(error_with("/special_tokens", json::parse(R"([{"rank": 2, "token_str": "a"}])")),
            "tekken.json: special_tokens[0]: the id 2 is not below "
            "config.default_num_special_tokens, 2");
  EXPECT_EQ(error_with("/special_tokens", json::parse(R"([{"rank": 0, "token_str": "a"},
                                                         {"rank": 0, "token_str": "b"}])")),
            "tekken.json: special_tokens[1]: the id 0 a second time");
}

TEST(VocabTxtFile, WhatIsMalformedIsNamedByItsLine) {
  const auto error_with = [](const std::string& text, const json& config = json::object()) {
    return error_of([&] { (void)tokenizer_json_from_vocab_txt(text, config); });
  };
  const std::string specials = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  EXPECT_EQ(error_with(specials), "no error");
  EXPECT_EQ(error_with(specials + "a\na\n"), "line 7: \"a\" is also line 6");
  EXPECT_THAT(error_with(specials + "\xFF\n"), HasSubstr("line 6: "));
  EXPECT_EQ(error_with("a\n"), "unk_token is \"[UNK]\", which is no line of it");
  EXPECT_EQ(error_with(specials, {{"cls_token", "<s>"}}),
            "cls_token is \"<s>\", which is no line of it");
}

TEST(WordPieceModel, WordsWithoutPiecesOrTooLongAreUnknown) {
  json content = json::parse(R"({
    "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": null, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
    "model": {"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 4,
              "vocab": {"?": 0, "ab": 1, "##c": 2, "a": 3, ".": 4}}})");
  const auto tokenizer = make_tokenizer(content);
  using ::testing::ElementsAre;
  EXPECT_THAT(tokenizer->encode("abc a ac. abd aabbc x"), ElementsAre(1, 2, 3, 3, 2, 4, 0, 0, 0));
  EXPECT_EQ(tokenizer->token_bytes(1) + tokenizer->token_bytes(2) + tokenizer->token_bytes(4),
            " abc.");
  content["model"]["unk_token"] = "!";
  EXPECT_THAT(error_of([&] { (void)make_tokenizer(content); }),
              HasSubstr("model.unk_token must be a token of the vocabulary"));
}

}  // namespace
}  // namespace initrt
