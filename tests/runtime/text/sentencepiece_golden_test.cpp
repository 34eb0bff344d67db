// Ids and texts against those of the SentencePiece library's own Python package, for a model like
// LLaMA's and for one with the library's defaults. The references and the script that made them are
// in tests/golden.
#include <gtest/gtest.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "runtime/text/sentencepiece.h"
#include "tests/support/source_path.h"

namespace initrt {
namespace {

using nlohmann::json;

std::string golden(const std::string& name) {
  std::ifstream file(testing::source_path("tests/golden/sentencepiece/" + name), std::ios::binary);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

// A line's text; "hex" where it is not UTF-8.
std::string text_of(const json& line) {
  if (line.contains("text")) return line["text"].get<std::string>();
  const auto hex = line["hex"].get<std::string>();
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    unsigned char byte = 0;
    std::from_chars(hex.data() + i, hex.data() + i + 2, byte, 16);
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

class SentencePieceGolden : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    tokenizer_ = make_sentencepiece_tokenizer(golden(GetParam() + std::string(".model")));
    std::istringstream file(golden(GetParam() + std::string(".jsonl")));
    for (std::string line; std::getline(file, line);) lines_.push_back(json::parse(line));
    ASSERT_GE(lines_.size(), 200u);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<json> lines_;
};

TEST_P(SentencePieceGolden, EncodesAsTheReferenceAfterABos) {
  for (const json& line : lines_) {
    auto ids = line["ids"].get<std::vector<TokenId>>();
    ids.insert(ids.begin(), 1);
    EXPECT_EQ(tokenizer_->encode(text_of(line)), ids) << line;
  }
}

TEST_P(SentencePieceGolden, StreamsTheReferencesTextWithTheSpaceBeforeItsFirstPiece) {
  for (const json& line : lines_) {
    Utf8Stream stream;
    std::string text;
    for (const TokenId id : tokenizer_->encode(text_of(line))) {
      text += stream.push(tokenizer_->token_bytes(id));
    }
    text += stream.finish();
    const std::string before = line["ids"].empty() ? "" : " ";
    EXPECT_EQ(text, before + line["decoded"].get<std::string>()) << line;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, SentencePieceGolden, ::testing::Values("llama", "unigram"));

}  // namespace
}  // namespace initrt
