#include "runtime/text/tokenizer.h"

#include <gtest/gtest.h>

#include "tests/runtime/text/small_tokenizer.h"

namespace initrt {
namespace {

using Ids = std::vector<TokenId>;
using nlohmann::json;

TEST(Tokenizer, MergesByRankNotByPlace) {
  EXPECT_EQ(encode(small_tokenizer(), "hello hello"), (Ids{259, 260}));
  EXPECT_EQ(encode(small_tokenizer(), "helo"), (Ids{256, 'l', 'o'}));
  // Three l: the leftmost pair goes first.
  EXPECT_EQ(encode(small_tokenizer(), "llllo"), (Ids{257, 258}));
  EXPECT_EQ(encode(small_tokenizer(), "lllo"), (Ids{257, 'l', 'o'}));
}

TEST(Tokenizer, ABareTextGetsNoTokensOfThePostProcessor) {
  json tokenizer = small_tokenizer();
  tokenizer["added_tokens"] = {added_token(261, "<s>", true), added_token(262, "</s>", true)};
  const auto special = [](const char* token, TokenId id) {
    return json{{"id", token}, {"ids", {id}}, {"tokens", {token}}};
  };
  tokenizer["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
        {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
        {{"SpecialToken", {{"id", "</s>"}, {"type_id", 0}}}}}},
      {"special_tokens", {{"<s>", special("<s>", 261)}, {"</s>", special("</s>", 262)}}}};
  EXPECT_EQ(encode(tokenizer, "<s>he"), (Ids{261, 261, 256, 262}));
  EXPECT_EQ(make_tokenizer(tokenizer)->encode_bare("<s>he"), (Ids{261, 256}));
  EXPECT_EQ(make_tokenizer(tokenizer)->encode_bare(""), Ids{});
}

TEST(Tokenizer, EmptyTextHasNoTokens) { EXPECT_EQ(encode(small_tokenizer(), ""), Ids{}); }

TEST(Tokenizer, MergesMayBePairs) {
  json tokenizer = small_tokenizer();
  tokenizer["model"]["merges"] =
      json::parse(R"([["h","e"],["l","l"],["ll","o"],["he","llo"],["Ġ","hello"]])");
  EXPECT_EQ(encode(tokenizer, " hello"), Ids{260});
}

TEST(Tokenizer, TheLastOfTwoEqualMergesCounts) {
  json tokenizer = small_tokenizer();
  tokenizer["model"]["vocab"]["el"] = 261;
  tokenizer["model"]["merges"] = {"h e", "e l", "h e"};
  EXPECT_EQ(encode(tokenizer, "hel"), (Ids{'h', 261}));
}

TEST(Tokenizer, IgnoreMergesTakesAWholeWordFromTheVocabulary) {
  json tokenizer = small_tokenizer();
  tokenizer["model"]["vocab"]["xyz"] = 261;
  EXPECT_EQ(encode(tokenizer, "xyz"), (Ids{'x', 'y', 'z'}));
  tokenizer["model"]["ignore_merges"] = true;
  EXPECT_EQ(encode(tokenizer, "xyz"), Ids{261});
}

TEST(Tokenizer, AByteThatTheVocabularyLacksIsDropped) {
  json tokenizer = small_tokenizer();
  tokenizer["model"]["vocab"].erase("z");
  EXPECT_EQ(encode(tokenizer, "hzezz"), Ids{256});
}

TEST(Tokenizer, AByteThatTheVocabularyLacksIsTheUnknownToken) {
  json tokenizer = small_tokenizer();
  tokenizer["model"]["vocab"].erase("z");
  tokenizer["model"]["unk_token"] = "?";
  EXPECT_EQ(encode(tokenizer, "hzezz"), (Ids{'h', '?', 'e', '?', '?'}));
  tokenizer["model"]["fuse_unk"] = true;
  EXPECT_EQ(encode(tokenizer, "hzezz"), (Ids{'h', '?', 'e', '?'}));
}

TEST(Tokenizer, BytesThatAreNotUtf8AreEncodedAsTheReplacementCharacter) {
  EXPECT_EQ(encode(small_tokenizer(), "a\xFFz"), (Ids{'a', 0xEF, 0xBF, 0xBD, 'z'}));
}

TEST(Tokenizer, EveryByteComesBack) {
  const auto tokenizer = make_tokenizer(small_tokenizer());
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(tokenizer->token_bytes(byte), std::string(1, static_cast<char>(byte)));
  }
  const std::string text = "hello\t世界 👩‍👩‍👧\n  x";
  EXPECT_EQ(decode(*tokenizer, tokenizer->encode(text)), text);
}

TEST(Tokenizer, IdsOutsideTheVocabularyStandForNothing) {
  const auto tokenizer = make_tokenizer(small_tokenizer());
  EXPECT_EQ(tokenizer->vocabulary(), 261u);
  for (const TokenId id : {-1, 261, 1 << 30}) EXPECT_EQ(tokenizer->token_bytes(id), "");
}

TEST(Tokenizer, ATokenOutsideTheByteAlphabetStandsForItself) {
  json tokenizer = small_tokenizer();
  tokenizer["model"]["vocab"]["世"] = 261;
  tokenizer["model"]["vocab"]["a b"] = 262;
  tokenizer["model"]["vocab"]["\u07ff"] = 263;
  EXPECT_EQ(make_tokenizer(tokenizer)->token_bytes(261), "世");
  EXPECT_EQ(make_tokenizer(tokenizer)->token_bytes(262), "a b");
  EXPECT_EQ(make_tokenizer(tokenizer)->token_bytes(263), "\u07ff");
}

TEST(Tokenizer, NfcIsAppliedBeforeAnythingElse) {
  json tokenizer = small_tokenizer();
  EXPECT_EQ(encode(tokenizer, "e\u0301"), (Ids{'e', 0xCC, 0x81}));
  tokenizer["normalizer"] = {{"type", "NFC"}};
  EXPECT_EQ(encode(tokenizer, "e\u0301"), (Ids{0xC3, 0xA9}));
  tokenizer["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}};
  EXPECT_EQ(encode(tokenizer, "e\u0301"), (Ids{0xC3, 0xA9}));
}

TEST(Tokenizer, TheTemplatePutsSpecialTokensAroundTheText) {
  json tokenizer = small_tokenizer();
  tokenizer["added_tokens"] = {added_token(261, "<s>", true), added_token(262, "</s>", true)};
  tokenizer["post_processor"] = json::parse(R"({"type": "Sequence", "processors": [
    {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false},
    {"type": "TemplateProcessing",
     "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "</s>", "type_id": 0}}],
     "pair": [],
     "special_tokens": {"<s>": {"id": "<s>", "ids": [261], "tokens": ["<s>"]},
                        "</s>": {"id": "</s>", "ids": [262], "tokens": ["</s>"]}}}]})");
  EXPECT_EQ(encode(tokenizer, "hello"), (Ids{261, 259, 262}));
  EXPECT_EQ(encode(tokenizer, ""), (Ids{261, 262}));
  tokenizer["post_processor"] = {{"type", "ByteLevel"}};
  EXPECT_EQ(encode(tokenizer, "hello"), Ids{259});
}

TEST(Tokenizer, AMegabyteWithoutAPlaceToCutIsNoProblem) {
  json tokenizer = small_tokenizer();
  tokenizer["model"]["vocab"]["llll"] = 261;
  tokenizer["model"]["merges"].push_back("ll ll");
  const auto made = make_tokenizer(tokenizer);
  EXPECT_EQ(made->encode(std::string(1 << 20, 'l')), Ids(1 << 18, 261));
  EXPECT_EQ(made->encode(std::string(1 << 20, ' ')), Ids(1 << 20, ' '));
}

}  // namespace
}  // namespace initrt
