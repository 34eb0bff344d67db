#include "runtime/text/added_tokens.h"

#include <gtest/gtest.h>

#include "tests/runtime/text/small_tokenizer.h"

namespace initrt {
namespace {

using Ids = std::vector<TokenId>;
using nlohmann::json;

/// The small tokenizer with one added token, <s> = 261, that has this flag set.
json with_flag(const char* flag) {
  json tokenizer = small_tokenizer();
  tokenizer["added_tokens"] = nlohmann::json::array({added_token(261, "<s>", true)});
  if (flag != nullptr) tokenizer["added_tokens"][0][flag] = true;
  return tokenizer;
}

TEST(AddedTokens, AreFoundBeforeTextIsCut) {
  EXPECT_EQ(encode(with_flag(nullptr), "a<s>hello <s>"), (Ids{'a', 261, 259, ' ', 261}));
  EXPECT_EQ(encode(with_flag(nullptr), "<s"), (Ids{'<', 's'}));
  EXPECT_EQ(encode(with_flag(nullptr), "<<s><s>>"), (Ids{'<', 261, 261, '>'}));
}

TEST(AddedTokens, TheLongestWins) {
  json tokenizer = with_flag(nullptr);
  tokenizer["added_tokens"].push_back(added_token(262, "<s>>", false));
  EXPECT_EQ(encode(tokenizer, "<s>><s>"), (Ids{262, 261}));
}

TEST(AddedTokens, SpecialOnesStandForNoTextOthersForTheirContent) {
  json tokenizer = with_flag(nullptr);
  tokenizer["added_tokens"].push_back(added_token(300, "né w", false));
  const auto made = make_tokenizer(tokenizer);
  EXPECT_EQ(made->token_bytes(261), "");
  EXPECT_EQ(made->token_bytes(300), "né w");
  EXPECT_EQ(made->vocabulary(), 301u);
  EXPECT_EQ(decode(*made, made->encode("<s>a né w<s>")), "a né w");
}

TEST(AddedTokens, LstripAndRstripTakeTheWhitespaceAround) {
  EXPECT_EQ(encode(with_flag("lstrip"), "a \t\u3000<s> b"), (Ids{'a', 261, ' ', 'b'}));
  EXPECT_EQ(encode(with_flag("rstrip"), "a <s> \n\u0085 b"), (Ids{'a', ' ', 261, 'b'}));
  EXPECT_EQ(encode(with_flag("lstrip"), "  <s>"), Ids{261});
  EXPECT_EQ(encode(with_flag("rstrip"), "<s>  "), Ids{261});
}

TEST(AddedTokens, AWhitespaceTokenInsideStrippedSpaceIsNotGivenTwice) {
  json tokenizer = with_flag(nullptr);
  tokenizer["added_tokens"] = nlohmann::json::array({added_token(' ', " ", false)});
  tokenizer["model"]["vocab"][" "] = 261;
  tokenizer["added_tokens"][0]["id"] = 261;
  tokenizer["added_tokens"][0]["lstrip"] = true;
  tokenizer["added_tokens"][0]["rstrip"] = true;
  EXPECT_EQ(encode(tokenizer, "a    b"), (Ids{'a', 261, 'b'}));
}

TEST(AddedTokens, SingleWordNeedsNoWordCharacterBesideIt) {
  const json tokenizer = with_flag("single_word");
  EXPECT_EQ(encode(tokenizer, "<s>"), Ids{261});
  EXPECT_EQ(encode(tokenizer, "-<s>."), (Ids{'-', 261, '.'}));
  for (const char* beside : {"a", "_", "9", "é", "世", "\u0301", "\u200d", "\u24d0"}) {
    const Ids before = encode(tokenizer, std::string(beside) + "<s>");
    EXPECT_EQ(std::count(before.begin(), before.end(), 261), 0) << beside;
    const Ids after = encode(tokenizer, "<s>" + std::string(beside));
    EXPECT_EQ(std::count(after.begin(), after.end(), 261), 0) << beside;
  }
}

TEST(AddedTokens, NormalizedOnesAreFoundInNormalizedText) {
  json tokenizer = small_tokenizer();
  tokenizer["normalizer"] = {{"type", "NFC"}};
  tokenizer["added_tokens"] = nlohmann::json::array({added_token(261, "<\u00e9>", false)});
  EXPECT_EQ(encode(tokenizer, "<e\u0301>").size(), 4u);
  tokenizer["added_tokens"][0]["normalized"] = true;
  EXPECT_EQ(encode(tokenizer, "<e\u0301>"), Ids{261});
  // The token's own content is normalized as well.
  tokenizer["added_tokens"][0]["content"] = "<e\u0301>";
  EXPECT_EQ(encode(tokenizer, "<\u00e9>"), Ids{261});
}

TEST(AddedTokens, AnEmptyOneIsPassedOver) {
  json tokenizer = with_flag(nullptr);
  tokenizer["added_tokens"][0]["content"] = "";
  EXPECT_EQ(encode(tokenizer, "<s>"), (Ids{'<', 's', '>'}));
}

}  // namespace
}  // namespace initrt
