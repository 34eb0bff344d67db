// Vocabularies with U+2581 for spaces: BPE with tokens for bytes, and Unigram.
#include <gtest/gtest.h>

#include "tests/runtime/text/small_tokenizer.h"

namespace initrt {
namespace {

using Ids = std::vector<TokenId>;
using nlohmann::json;
using testing::HasSubstr;

/// <unk> = 0, <s> = 1, "▁" = 2, a = 3, b = 4, "▁a" = 5, "ab" = 6, "▁ab" = 7, <0xC3> = 8, <0xA9>
/// = 9.
json llama() {
  return json::parse(R"({"added_tokens": [], "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    "pre_tokenizer": null, "post_processor": null,
    "decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
      {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
      "vocab": {"<unk>": 0, "<s>": 1, "▁": 2, "a": 3, "b": 4, "▁a": 5, "ab": 6, "▁ab": 7,
                "<0xC3>": 8, "<0xA9>": 9},
      "merges": ["▁ a", "a b", "▁a b", "▁ ab"]}})");
}

json unigram() {
  json tokenizer = llama();
  tokenizer["model"] = json::parse(R"({"type": "Unigram", "unk_id": 0,
    "vocab": [["<unk>", 0], ["▁", -3], ["a", -2.5], ["b", -2.5], ["ab", -4], ["▁a", -3],
              ["<0xC3>", -9], ["<0xA9>", -9]]})");
  return tokenizer;
}

json metaspace(const char* scheme, bool split) {
  return {
      {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", scheme}, {"split", split}};
}

TEST(Metaspace, ASpaceGoesInFrontAndSpacesAreReplaced) {
  EXPECT_EQ(encode(llama(), "ab a"), (Ids{7, 5}));
  EXPECT_EQ(encode(llama(), ""), Ids{});
}

TEST(Metaspace, ACharacterWithoutATokenIsItsBytesTokens) {
  EXPECT_EQ(encode(llama(), "aé"), (Ids{5, 8, 9}));
  EXPECT_EQ(decode(*make_tokenizer(llama()), {5, 8, 9}), " aé");
}

TEST(Metaspace, WhereAByteHasNoTokenEitherItIsUnknown) {
  EXPECT_EQ(encode(llama(), "aèèé"), (Ids{5, 8, 9, 0}));  // as in the reference, behind the bytes
  EXPECT_EQ(encode(llama(), "aèèb"), (Ids{5, 0, 4}));
  json apart = llama();
  apart["model"]["fuse_unk"] = false;
  EXPECT_EQ(encode(apart, "aèèb"), (Ids{5, 0, 0, 4}));
  json without = llama();
  without["model"]["byte_fallback"] = false;
  EXPECT_EQ(encode(without, "aéb"), (Ids{5, 0, 4}));
}

TEST(Metaspace, ThePreTokenizerPrependsAlwaysFirstOrNever) {
  json tokenizer = llama();
  tokenizer["normalizer"] = nullptr;
  tokenizer["added_tokens"] = json::array({added_token(1, "<s>", true)});
  const auto ids = [&](const char* scheme, bool split, std::string_view text) {
    tokenizer["pre_tokenizer"] = metaspace(scheme, split);
    return encode(tokenizer, text);
  };
  EXPECT_EQ(ids("always", true, "ab<s>a"), (Ids{7, 1, 5}));
  EXPECT_EQ(ids("first", true, "ab<s>a"), (Ids{7, 1, 3}));
  EXPECT_EQ(ids("first", true, "<s>a"), (Ids{1, 3}));
  EXPECT_EQ(ids("never", true, "ab<s>a a"), (Ids{6, 1, 3, 5}));
  EXPECT_EQ(ids("always", true, " a"), Ids{5});
  tokenizer["model"]["vocab"]["a▁"] = 10;
  tokenizer["model"]["merges"].insert(tokenizer["model"]["merges"].begin(), "a ▁");
  EXPECT_EQ(ids("never", true, "a b"), (Ids{3, 2, 4}));
  EXPECT_EQ(ids("never", false, "a b"), (Ids{10, 4}));
}

TEST(Metaspace, OldFilesSayAddPrefixSpace) {
  json tokenizer = llama();
  tokenizer["normalizer"] = nullptr;
  tokenizer["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", "▁"}, {"add_prefix_space", false}};
  EXPECT_EQ(encode(tokenizer, "ab"), Ids{6});
  tokenizer["pre_tokenizer"]["add_prefix_space"] = true;
  EXPECT_EQ(encode(tokenizer, "ab"), Ids{7});
}

TEST(Metaspace, MalformedOnesAreErrorsNamingTheKey) {
  const auto error = [](const json& pre_tokenizer) {
    json tokenizer = llama();
    tokenizer["pre_tokenizer"] = pre_tokenizer;
    return error_of([&] { (void)make_tokenizer(tokenizer); });
  };
  EXPECT_THAT(error(metaspace("sometimes", true)),
              HasSubstr("prepend_scheme must be \"always\", \"first\" or \"never\""));
  json contradiction = metaspace("first", true);
  contradiction["add_prefix_space"] = false;
  EXPECT_THAT(error(contradiction), HasSubstr("\"never\", as add_prefix_space is false"));
  EXPECT_THAT(error({{"type", "Sequence"},
                     {"pretokenizers", {metaspace("always", true), metaspace("never", true)}}}),
              HasSubstr("pretokenizers[1]: Metaspace a second time"));
}

TEST(Unigram, TheSumOfScoresDecides) {
  EXPECT_EQ(encode(unigram(), "ab"), (Ids{5, 3}));  // -3 - 2.5, not -3 - 4
  json tokenizer = unigram();
  tokenizer["model"]["vocab"][4][1] = -2;
  EXPECT_EQ(encode(tokenizer, "ab"), (Ids{1, 4}));
}

TEST(Unigram, UnknownCharactersInARowAreOneToken) {
  EXPECT_EQ(encode(unigram(), "aèéb"), (Ids{5, 0, 3}));
  json bytes = unigram();
  bytes["model"]["byte_fallback"] = true;
  EXPECT_EQ(encode(bytes, "aéb"), (Ids{5, 6, 7, 3}));
  EXPECT_EQ(encode(bytes, "aéèb"), (Ids{5, 0, 3}));  // not all of the row has tokens
}

TEST(Unigram, MalformedOnesAreErrorsNamingTheKey) {
  const auto error = [](const char* pointer, const json& value) {
    json tokenizer = unigram();
    tokenizer[json::json_pointer(pointer)] = value;
    return error_of([&] { encode(tokenizer, "aéb"); });
  };
  EXPECT_THAT(error("/model/vocab", 1), HasSubstr("model.vocab must be an array"));
  EXPECT_THAT(error("/model/vocab", json::array()), HasSubstr("model.vocab is empty"));
  EXPECT_THAT(error("/model/vocab/1", {"a"}), HasSubstr("vocab[1] must be a token and its score"));
  EXPECT_THAT(error("/model/vocab/1", {"a", "x"}), HasSubstr("vocab[1] must be a token and"));
  EXPECT_THAT(error("/model/vocab/3", {"a", -1}),
              HasSubstr("model.vocab[3]: \"a\" is also the token of id 2"));
  EXPECT_THAT(error("/model/unk_id", 8), HasSubstr("unk_id must be the id of a token"));
  EXPECT_THAT(error("/model/unk_id", nullptr),
              HasSubstr("model: \"é\" has no token, and there is no unk_id"));
}

TEST(Metaspace, AMegabyteInOneLineIsNoProblem) {
  std::string text;
  while (text.size() < (1u << 20)) text += "ab é a";
  const auto bpe = make_tokenizer(llama());
  EXPECT_GT(bpe->encode(text).size(), text.size() / 3);
  EXPECT_EQ(bpe->encode(std::string(1 << 20, 'b')).size(), (1u << 20) + 1);
  EXPECT_GT(make_tokenizer(unigram())->encode(text).size(), text.size() / 3);
}

}  // namespace
}  // namespace initrt
