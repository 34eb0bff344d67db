// Ids of SmolLM2's vocabulary against the reference library's, for each kind of pre-tokenizer.
// The references and the script that made them are in tests/golden.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/runtime/text/small_tokenizer.h"
#include "tests/support/source_path.h"

namespace initrt {
namespace {

using nlohmann::json;

constexpr std::size_t kControlTokens = 17;  ///< the first lines of smollm2.merges

std::ifstream open_golden(const std::string& name) {
  std::ifstream file(testing::source_path("tests/golden/tokenizer/" + name));
  if (!file) fail("tests/golden/tokenizer/{} is missing", name);
  return file;
}

/// The metadata of the model's GGUF file, from the committed list of tokens and merges.
json smollm2_metadata(const std::string& pre) {
  json tokens = json::array();
  json types = json::array();
  json merges = json::array();
  std::ifstream file = open_golden("smollm2.merges");
  for (std::string line; std::getline(file, line);) {
    types.push_back(tokens.size() < kControlTokens ? 3 : 1);
    const std::size_t space = line.find(' ');
    if (space != std::string::npos) {
      merges.push_back(line);
      line.erase(space, 1);
    }
    tokens.push_back(line);
  }
  return {{"tokenizer.ggml.model", "gpt2"},  {"tokenizer.ggml.pre", pre},
          {"tokenizer.ggml.tokens", tokens}, {"tokenizer.ggml.token_type", types},
          {"tokenizer.ggml.merges", merges}, {"tokenizer.ggml.bos_token_id", 1},
          {"tokenizer.ggml.eos_token_id", 2}};
}

class TokenizerGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(TokenizerGolden, GivesTheIdsOfTheReference) {
  const std::string pre = GetParam();
  // Through text and back, as `convert` writes it and a checkpoint folder is read.
  const auto tokenizer =
      make_tokenizer(json::parse(tokenizer_json_from_gguf(smollm2_metadata(pre)).dump()));
  EXPECT_EQ(tokenizer->vocabulary(), 49152u);
  std::ifstream file = open_golden(pre + ".jsonl");
  int lines = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    const json reference = json::parse(line);
    const auto text = reference["text"].get<std::string>();
    EXPECT_EQ(tokenizer->encode(text), reference["ids"].get<std::vector<TokenId>>()) << line;
  }
  EXPECT_GE(lines, 150);
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerGolden,
                         ::testing::Values("smollm", "gpt-2", "llama-bpe", "qwen2"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(SmolLm2Golden, TheFirstPromptIsAsPublished) {
  const auto tokenizer = make_tokenizer(tokenizer_json_from_gguf(smollm2_metadata("smollm")));
  EXPECT_EQ(tokenizer->encode("Hello, my name is"),
            (std::vector<TokenId>{19556, 28, 957, 1462, 314}));
}

TEST(SmolLm2Golden, TextsComeBack) {
  const auto tokenizer = make_tokenizer(tokenizer_json_from_gguf(smollm2_metadata("smollm")));
  for (const std::string text :
       {"Hello, world! It's 2024.", "def f(x):\n    return x\n\n", "Grüße, Привет, 世界, 😀👍🏽",
        "  spaces\t\ttabs\r\n", "a\u00a0b\u2003c"}) {
    Utf8Stream stream;
    std::string back;
    for (const TokenId id : tokenizer->encode(text))
      back += stream.push(tokenizer->token_bytes(id));
    EXPECT_EQ(back + stream.finish(), text);
  }
}

}  // namespace
}  // namespace initrt
