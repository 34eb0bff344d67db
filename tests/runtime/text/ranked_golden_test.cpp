// Vocabularies of ranks (tiktoken's files, tekken.json) and of word pieces (vocab.txt) against the
// libraries that define them. The references and the script that made them are in tests/golden.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/text/tekken.h"
#include "runtime/text/tiktoken.h"
#include "runtime/text/vocab_txt.h"
#include "sharding/error.h"
#include "tests/runtime/text/styles.h"
#include "tests/support/source_path.h"

namespace initrt {
namespace {

using nlohmann::json;

std::string content_of(const std::string& name) {
  std::ifstream file(testing::source_path("tests/golden/" + name));
  if (!file) fail("tests/golden/{} is missing", name);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

// Encodes and decodes all texts of a folder as the reference does.
void expect_reference(const Tokenizer& tokenizer, const std::string& folder,
                      const std::string& name, bool space_before) {
  std::vector<std::string> texts = json::parse(content_of(folder + "/texts.json"))["texts"];
  for (std::size_t i = 0; i < styles::texts().size(); i += 10) texts.push_back(styles::texts()[i]);
  std::istringstream references(content_of(folder + "/" + name + ".hashes"));
  for (const std::string& text : texts) {
    std::size_t count = 0;
    std::string hash, decoded_hash;
    ASSERT_TRUE(references >> count >> hash >> decoded_hash) << "a reference is missing";
    const std::vector<TokenId> ids = tokenizer.encode(text);
    EXPECT_EQ(fmt::format("{:08x}", styles::hash(ids)), hash) << text;
    EXPECT_EQ(ids.size(), count) << text;
    std::string decoded;
    for (const TokenId id : ids) decoded += tokenizer.token_bytes(id);
    if (space_before && decoded.starts_with(' ')) decoded.erase(0, 1);
    EXPECT_EQ(fmt::format("{:08x}", styles::hash(to_valid_utf8(decoded))), decoded_hash) << text;
  }
}

constexpr std::size_t kTokens = 1000;  // of ranks.tiktoken

TiktokenFiles ranks(const std::string& name, const std::string& model_type) {
  return {name, content_of("ranked/ranks.tiktoken"), json::object(), model_type};
}

TEST(Tiktoken, EncodesAsLlama3s) {
  const VocabTokenizer made = tokenizer_json_from_tiktoken(ranks("tokenizer.model", "llama"));
  EXPECT_EQ(made.begin_token, "<|begin_of_text|>");
  EXPECT_EQ(made.end_token, "<|end_of_text|>");
  expect_reference(*make_tokenizer(made.json), "ranked", "llama3", false);
}

TEST(Tiktoken, EncodesAsLlama4s) {
  const VocabTokenizer made = tokenizer_json_from_tiktoken(ranks("tokenizer.model", "llama4_text"));
  expect_reference(*make_tokenizer(made.json), "ranked", "llama4", false);
}

TEST(Tiktoken, EncodesAsKimisWithTheConfigsTokens) {
  TiktokenFiles files = ranks("tiktoken.model", "kimi_k2");
  const auto name = [&](std::size_t place, const char* content, bool special) {
    files.config["added_tokens_decoder"][std::to_string(kTokens + place)] = {{"content", content},
                                                                             {"special", special}};
  };
  name(0, "[BOS]", true);
  name(1, "[EOS]", true);
  name(2, "<|im_end|>", true);
  name(3, "<|im_user|>", true);
  name(9, "[EOT]", true);
  name(17, "<|im_middle|>", true);
  name(22, "<think>", false);
  name(23, "</think>", false);
  expect_reference(*make_tokenizer(tokenizer_json_from_tiktoken(files).json), "ranked", "kimi",
                   false);
}

TEST(Tekken, EncodesAsMistralCommon) {
  json content;
  content["config"] = {
      {"pattern",
       R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
       R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|)"
       R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
      {"num_vocab_tokens", kTokens},
      {"default_vocab_size", kTokens + 80},
      {"default_num_special_tokens", 100},
      {"version", "v3"}};
  std::istringstream lines(content_of("ranked/ranks.tiktoken"));
  std::string token;
  for (std::size_t rank = 0; lines >> token >> rank;) {
    content["vocab"].push_back({{"rank", rank}, {"token_bytes", token}, {"token_str", nullptr}});
  }
  ASSERT_TRUE(is_tekken(content));
  const VocabTokenizer made = tokenizer_json_from_tekken(content);
  const auto tokenizer = make_tokenizer(made.json);
  EXPECT_EQ(tokenizer->vocabulary(), kTokens + 80);
  EXPECT_EQ(tokenizer->token_id("[TOOL_CALLS]"), 9);
  EXPECT_EQ(tokenizer->token_id("<SPECIAL_99>"), 99);
  expect_reference(*tokenizer, "ranked", "tekken", false);
}

struct BertCase {
  const char* name;
  const char* config;
};

class VocabTxt : public ::testing::TestWithParam<BertCase> {};

TEST_P(VocabTxt, EncodesAsBertsTokenizer) {
  const VocabTokenizer made = tokenizer_json_from_vocab_txt(content_of("word_piece/vocab.txt"),
                                                            json::parse(GetParam().config));
  expect_reference(*make_tokenizer(made.json), "word_piece", GetParam().name, true);
}

INSTANTIATE_TEST_SUITE_P(
    Settings, VocabTxt,
    ::testing::Values(BertCase{"uncased", "{}"}, BertCase{"cased", R"({"do_lower_case": false})"},
                      BertCase{"accents", R"({"do_lower_case": true, "strip_accents": false,
                                             "tokenize_chinese_chars": false})"}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace initrt
