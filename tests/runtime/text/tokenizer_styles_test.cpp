// Ids and decoded texts of tokenizers with the structure of well-known models' tokenizer.json
// against the reference library's, on 2,000 texts. The references and the scripts that made them
// are in tests/golden.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/runtime/text/styles.h"

namespace initrt {
namespace {

class TokenizerStyle : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    tokenizer_ = make_tokenizer(styles::tokenizer_json(GetParam()));
    references_ = styles::references(GetParam());
    ASSERT_EQ(references_.size(), styles::texts().size());
    ASSERT_GE(references_.size(), 2000u);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<styles::Reference> references_;
};

TEST_P(TokenizerStyle, EncodesAsTheReference) {
  for (std::size_t i = 0; i < references_.size(); ++i) {
    const std::vector<TokenId> ids = tokenizer_->encode(styles::texts()[i]);
    EXPECT_EQ(styles::hash(ids), references_[i].ids) << styles::describe(GetParam(), i, ids);
    EXPECT_EQ(ids.size(), references_[i].count);
  }
}

TEST_P(TokenizerStyle, StreamsTheReferencesTextAndNeverHalfACharacter) {
  const styles::FirstToken first = styles::first_token(GetParam());
  for (std::size_t i = 0; i < references_.size(); ++i) {
    const std::vector<TokenId> ids = tokenizer_->encode(styles::texts()[i]);
    Utf8Stream stream;
    std::string text;
    bool is_first = true;
    for (const TokenId id : ids) {
      std::string bytes = tokenizer_->token_bytes(id);
      if (bytes.empty()) continue;  // a special token
      if (is_first && first == styles::FirstToken::WithoutSpaces) std::erase(bytes, ' ');
      is_first = false;
      const std::string complete = stream.push(bytes);
      EXPECT_EQ(to_valid_utf8(complete), complete);
      text += complete;
    }
    text += stream.finish();
    if (first == styles::FirstToken::WithoutOneSpace && text.starts_with(' ')) text.erase(0, 1);
    EXPECT_EQ(styles::hash(text), references_[i].decoded)
        << styles::describe(GetParam(), i, ids) << '\n'
        << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Styles, TokenizerStyle, testing::ValuesIn(styles::names()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace initrt
