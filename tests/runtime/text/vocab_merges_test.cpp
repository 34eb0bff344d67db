#include "runtime/text/vocab_merges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/text/tokenizer.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using testing::error_of;

VocabAndMerges small() {
  VocabAndMerges files;
  files.vocabulary = {{"a", 0}, {"b", 1}, {"\u0120", 2}, {"ab", 3}, {"<|endoftext|>", 4}};
  files.merges = "#version: 0.2\r\na b\r\n\n";
  return files;
}

std::vector<TokenId> ids(const VocabAndMerges& files, std::string_view text) {
  return make_tokenizer(tokenizer_json_from_vocab(files).json)->encode(text);
}

std::string error(const VocabAndMerges& files) {
  return error_of([&] { (void)tokenizer_json_from_vocab(files); });
}

TEST(VocabAndMerges, AreATokenizerOfGpt2sClassWhereNothingSaysOtherwise) {
  EXPECT_THAT(ids(small(), "ab a<|endoftext|>"), ElementsAre(3, 2, 0, 4));
  EXPECT_EQ(tokenizer_json_from_vocab(small()).end_token, "<|endoftext|>");
}

TEST(VocabAndMerges, TheClassOrElseTheModelSaysHowTextIsCut) {
  VocabAndMerges files = small();
  const auto normalizer = [&] { return tokenizer_json_from_vocab(files).json["normalizer"]; };
  EXPECT_TRUE(normalizer().is_null());
  files.model_type = "qwen2_moe";
  EXPECT_EQ(normalizer()["type"], "NFC");
  files.config["tokenizer_class"] = "GPT2TokenizerFast";
  EXPECT_TRUE(normalizer().is_null());
  files.config["tokenizer_class"] = "Qwen2Tokenizer";
  EXPECT_EQ(normalizer()["type"], "NFC");
  files.config["tokenizer_class"] = "PreTrainedTokenizerFast";
  EXPECT_EQ(normalizer()["type"], "NFC");
  files.config["tokenizer_class"] = "CLIPTokenizer";
  EXPECT_THAT(
      error(files),
      ::testing::StartsWith("tokenizer_config.json: tokenizer_class must be one of GPT2Tokenizer"));
}

TEST(VocabAndMerges, SpecialTokensComeFromAllFiles) {
  VocabAndMerges files = small();
  files.config["added_tokens_decoder"] = {{"7", {{"content", "<x>"}, {"special", true}}}};
  files.added = {{"<y>", 8}, {"<z>", 9}};
  files.special["additional_special_tokens"] = {"<z>", "<no id>"};
  EXPECT_THAT(ids(files, "a<x>b<y>a<z>"), ElementsAre(0, 7, 1, 8, 0, 9));
  const auto tokenizer = make_tokenizer(tokenizer_json_from_vocab(files).json);
  EXPECT_EQ(tokenizer->token_bytes(8), "<y>");
  EXPECT_EQ(tokenizer->token_bytes(9), "") << "a special token";
  EXPECT_EQ(tokenizer->token_id("<x>"), 7);
  EXPECT_EQ(tokenizer->token_id("ab"), 3);
  EXPECT_EQ(tokenizer->token_id("<no id>"), std::nullopt);
}

TEST(VocabAndMerges, ATextBeginsAndEndsWithTheTokensThatAreAskedFor) {
  VocabAndMerges files = small();
  files.config = {{"add_bos_token", true}, {"bos_token", {{"content", "b"}}}};
  EXPECT_THAT(ids(files, "a"), ElementsAre(1, 0));
  files.config["add_eos_token"] = true;
  EXPECT_THAT(ids(files, "a"), ElementsAre(1, 0, 4));
  files.config["bos_token"] = "<none>";
  EXPECT_EQ(error(files),
            "tokenizer_config.json: bos_token is \"<none>\", which has no id in vocab.json or "
            "elsewhere");
}

TEST(VocabAndMerges, WhatIsMalformedIsNamed) {
  VocabAndMerges files = small();
  files.merges = "#version: 0.2\na b\na  b\n";
  EXPECT_EQ(error(files), "merges.txt: line 3: \"a  b\" is not two tokens with one space between");
  files = small();
  files.config["added_tokens_decoder"] = {{"x1", {{"content", "<x>"}}}};
  EXPECT_EQ(error(files), "tokenizer_config.json: added_tokens_decoder: \"x1\" is no token id");
  files = small();
  files.added = {{"<y>", "8"}};
  EXPECT_THAT(error(files), ::testing::HasSubstr("added_tokens.json: <y> must be a token id"));
}

}  // namespace
}  // namespace initrt
