#include <gtest/gtest.h>

#include <cmath>

#include "tests/runtime/text/small_tokenizer.h"

namespace initrt {
namespace {

using Ids = std::vector<TokenId>;
using nlohmann::json;
using testing::HasSubstr;

/// The small tokenizer as GGUF metadata, with <s> = 261 (control), <u> = 262 (user-defined) and
/// <p> = 263 (unused).
json small_metadata(const char* pre) {
  const json tokenizer = small_tokenizer();
  std::vector<std::string> tokens(264);
  for (const auto& [token, id] : tokenizer["model"]["vocab"].items()) tokens[id] = token;
  tokens[261] = "<s>";
  tokens[262] = "<u>";
  tokens[263] = "<p>";
  std::vector<int> types(264, 1);
  types[261] = 3;
  types[262] = 4;
  types[263] = 5;
  return {{"tokenizer.ggml.model", "gpt2"},
          {"tokenizer.ggml.pre", pre},
          {"tokenizer.ggml.tokens", tokens},
          {"tokenizer.ggml.token_type", types},
          {"tokenizer.ggml.merges", tokenizer["model"]["merges"]},
          {"tokenizer.ggml.bos_token_id", 261},
          {"tokenizer.ggml.eos_token_id", 261},
          {"tokenizer.ggml.unknown_token_id", 0}};
}

Ids encode_gguf(const json& metadata, std::string_view text) {
  return encode(tokenizer_json_from_gguf(metadata), text);
}

std::string error_with(const char* key, const json& value) {
  json metadata = small_metadata("smollm");
  metadata[key] = value;
  return error_of([&] { (void)tokenizer_json_from_gguf(metadata); });
}

TEST(GgufTokenizer, ControlAndUserDefinedTokensAreFoundInText) {
  const auto tokenizer = make_tokenizer(tokenizer_json_from_gguf(small_metadata("smollm")));
  EXPECT_EQ(tokenizer->encode("<s>hello<u><p>"), (Ids{261, 259, 262, '<', 'p', '>'}));
  EXPECT_EQ(tokenizer->token_bytes(261), "");
  EXPECT_EQ(tokenizer->token_bytes(262), "<u>");
  EXPECT_EQ(tokenizer->token_bytes(263), "<p>");
  EXPECT_EQ(tokenizer->vocabulary(), 264u);
}

TEST(GgufTokenizer, WithoutTokenTypesAllTokensAreNormal) {
  json metadata = small_metadata("gpt-2");
  metadata.erase("tokenizer.ggml.token_type");
  EXPECT_EQ(encode_gguf(metadata, "<s>"), (Ids{'<', 's', '>'}));
}

TEST(GgufTokenizer, TheKindDecidesHowTextIsCut) {
  json with_numbers = small_metadata("smollm");
  with_numbers["tokenizer.ggml.tokens"][263] = "11";
  with_numbers["tokenizer.ggml.merges"].push_back("1 1");
  const auto encode_as = [&](const char* pre, std::string_view text) {
    with_numbers["tokenizer.ggml.pre"] = pre;
    return encode_gguf(with_numbers, text);
  };
  EXPECT_EQ(encode_as("smollm", "1111"), (Ids{'1', '1', '1', '1'}));
  EXPECT_EQ(encode_as("gpt-2", "1111"), (Ids{263, 263}));
  // Numbers apart, then their first three digits.
  EXPECT_EQ(encode_as("default", "a1111"), (Ids{'a', 263, '1', '1'}));
  EXPECT_EQ(encode_as("qwen2", "1111"), (Ids{'1', '1', '1', '1'}));
  EXPECT_EQ(encode_as("qwen2", "e\u0301"), (Ids{0xC3, 0xA9}));
  // Groups of three, and a BOS even where the metadata does not ask for one.
  EXPECT_EQ(encode_as("llama-bpe", "1111"), (Ids{261, 263, '1', '1'}));
  // Kimi's, MiniMax's and Hunyuan's numbers in threes from the left, Tiny Aya's from the right.
  for (const char* pre : {"kimi-k2", "minimax-m2", "hunyuan-dense"}) {
    EXPECT_EQ(encode_as(pre, "1111"), (Ids{263, '1', '1'})) << pre;
  }
  EXPECT_EQ(encode_as("tiny_aya", "1111"), (Ids{'1', 263, '1'}));
  for (const char* pre : {"seed-coder", "hunyuan", "bailingmoe2"}) {
    EXPECT_EQ(encode_as(pre, "11"), (Ids{'1', '1'})) << pre;
  }
  const std::string digits(30'000, '1');
  EXPECT_EQ(encode_as("tiny_aya", digits).size(), 20'000u);
  with_numbers.erase("tokenizer.ggml.pre");
  EXPECT_EQ(encode_gguf(with_numbers, "1111"), (Ids{263, '1', '1'}));
}

// A merge shows what is not cut.
TEST(GgufTokenizer, KindsThatCutNumbersAlikeDifferElsewhere) {
  const auto encode_as = [&](const char* pre, const char* merge, std::string_view text) {
    json metadata = small_metadata(pre);
    std::string token = merge;
    token.erase(token.find(' '), 1);
    metadata["tokenizer.ggml.tokens"][263] = token;
    metadata["tokenizer.ggml.merges"].push_back(merge);
    return encode_gguf(metadata, text);
  };
  // Han are words of their own.
  EXPECT_EQ(encode_as("kimi-k2", "a ä", "a\u4e2d"), (Ids{'a', 0xE4, 0xB8, 0xAD}));
  EXPECT_EQ(encode_as("hunyuan-dense", "a ä", "a\u4e2d"), (Ids{'a', 0xE4, 0xB8, 0xAD}));
  EXPECT_EQ(encode_as("minimax-m2", "a ä", "a\u4e2d"), (Ids{263, 0xB8, 0xAD}));
  // A newline goes with what is before it, but for Seed's.
  EXPECT_EQ(encode_as("hunyuan", "! Ċ", "!\n"), Ids{263});
  EXPECT_EQ(encode_as("seed-coder", "! Ċ", "!\n"), (Ids{'!', '\n'}));
}

TEST(GgufTokenizer, BosAndEosAreAddedWhereAskedFor) {
  json metadata = small_metadata("smollm");
  metadata["tokenizer.ggml.add_bos_token"] = true;
  EXPECT_EQ(encode_gguf(metadata, "hello"), (Ids{261, 259}));
  metadata["tokenizer.ggml.add_eos_token"] = true;
  EXPECT_EQ(encode_gguf(metadata, "hello"), (Ids{261, 259, 261}));
  metadata["tokenizer.ggml.pre"] = "llama-bpe";
  metadata["tokenizer.ggml.add_bos_token"] = false;
  metadata["tokenizer.ggml.add_eos_token"] = false;
  EXPECT_EQ(encode_gguf(metadata, "hello"), Ids{259});
}

TEST(GgufTokenizer, APrefixSpaceIsAddedWhereAskedFor) {
  json metadata = small_metadata("gpt-2");
  metadata["tokenizer.ggml.add_space_prefix"] = true;
  EXPECT_EQ(encode_gguf(metadata, "hello"), Ids{260});
}

TEST(GgufTokenizer, UnknownKindsAreNamed) {
  const std::string error = error_with("tokenizer.ggml.pre", "gpt-5");
  EXPECT_THAT(error,
              HasSubstr("GGUF metadata: tokenizer.ggml.pre must be a pre-tokenizer kind known "
                        "here (default gpt-2 "));
  EXPECT_THAT(error, HasSubstr("unless \"tokenizer\" names a tokenizer.json, but is \"gpt-5\""));
  EXPECT_EQ(error_with("tokenizer.ggml.model", "bert"),
            "GGUF metadata: tokenizer.ggml.model must be a tokenizer model known here (\"gpt2\", "
            "\"llama\", \"gemma4\"), but is \"bert\"");
}

TEST(GgufTokenizer, MalformedMetadataIsAnErrorNamingTheKey) {
  EXPECT_THAT(error_of([] { (void)tokenizer_json_from_gguf(json()); }),
              HasSubstr("GGUF metadata: the document must be an object"));
  for (const char* key :
       {"tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.merges"}) {
    json metadata = small_metadata("smollm");
    metadata.erase(key);
    EXPECT_EQ(error_of([&] { (void)tokenizer_json_from_gguf(metadata); }),
              fmt::format("GGUF metadata: has no \"{}\"", key));
  }
  EXPECT_THAT(error_with("tokenizer.ggml.tokens", "x"), HasSubstr("tokens must be an array"));
  EXPECT_THAT(error_with("tokenizer.ggml.tokens", {1}), HasSubstr("token_type has 264 entries"));
  EXPECT_THAT(error_with("tokenizer.ggml.merges", {1}), HasSubstr("merges[0] must be a string"));
  EXPECT_THAT(error_with("tokenizer.ggml.merges", {"a b c"}), HasSubstr("merges[0] must be two"));
  EXPECT_THAT(error_with("tokenizer.ggml.pre", 1),
              HasSubstr("tokenizer.ggml.pre must be a string"));
  EXPECT_THAT(error_with("tokenizer.ggml.add_bos_token", 1), HasSubstr("add_bos_token must be"));
}

TEST(GgufTokenizer, MalformedTokensAreErrorsNamingTheIndex) {
  const auto error = [](const char* key, std::size_t index, const json& value) {
    json metadata = small_metadata("smollm");
    metadata[key][index] = value;
    return error_of([&] { (void)tokenizer_json_from_gguf(metadata); });
  };
  EXPECT_THAT(error("tokenizer.ggml.tokens", 7, 5), HasSubstr("tokens[7] must be a string"));
  EXPECT_THAT(error("tokenizer.ggml.tokens", 7, "\xFF"), HasSubstr("tokens[7] must be UTF-8"));
  EXPECT_THAT(error("tokenizer.ggml.tokens", 262, "he"),
              HasSubstr("tokens[262]: \"he\" is also the token of id 256"));
  EXPECT_THAT(error("tokenizer.ggml.token_type", 7, "x"),
              HasSubstr("token_type[7] must be an integer"));
}

TEST(GgufTokenizer, ABosThatIsNoTokenIsAnError) {
  json metadata = small_metadata("llama-bpe");
  for (const json& id : {json(264), json(-1), json("x")}) {
    metadata["tokenizer.ggml.bos_token_id"] = id;
    EXPECT_THAT(error_of([&] { (void)tokenizer_json_from_gguf(metadata); }),
                HasSubstr("tokenizer.ggml.bos_token_id must be"));
  }
  metadata.erase("tokenizer.ggml.bos_token_id");
  EXPECT_THAT(error_of([&] { (void)tokenizer_json_from_gguf(metadata); }),
              HasSubstr("has no \"tokenizer.ggml.bos_token_id\""));
}

/// A SentencePiece vocabulary: <unk> = 0, <s> = 1, </s> = 2, <0x0A> = 3, "▁" = 4, a = 5, b = 6,
/// "▁a" = 7, "ab" = 8, "▁ab" = 9, "<u>" = 10.
json llama_metadata() {
  return {{"tokenizer.ggml.model", "llama"},
          {"tokenizer.ggml.tokens",
           {"<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "b", "▁a", "ab", "▁ab", "<u>"}},
          {"tokenizer.ggml.scores", {0, 0, 0, 0, -5, -6, -7, -2, -1, -3, 0}},
          {"tokenizer.ggml.token_type", {2, 3, 3, 6, 1, 1, 1, 1, 1, 1, 4}}};
}

std::string llama_error(const char* pointer, const json& value) {
  json metadata = llama_metadata();
  metadata[json::json_pointer(pointer)] = value;
  return error_of([&] { (void)tokenizer_json_from_gguf(metadata); });
}

TEST(GgufSentencePiece, TheBestScoreMergesFirst) {
  json metadata = llama_metadata();
  EXPECT_EQ(encode_gguf(metadata, "ab a"), (Ids{1, 9, 7}));
  metadata["tokenizer.ggml.tokens"][9] = "x";
  EXPECT_EQ(encode_gguf(metadata, "ab"), (Ids{1, 4, 8}));
  metadata["tokenizer.ggml.scores"][8] = -4;
  EXPECT_EQ(encode_gguf(metadata, "ab"), (Ids{1, 7, 6}));
}

TEST(GgufSentencePiece, BytesAndTheUnknownTokenStandForTheRest) {
  EXPECT_EQ(encode_gguf(llama_metadata(), "a\n"), (Ids{1, 7, 3}));
  EXPECT_EQ(encode_gguf(llama_metadata(), "aé<u>"), (Ids{1, 7, 0, 10}));
  const auto tokenizer = make_tokenizer(tokenizer_json_from_gguf(llama_metadata()));
  EXPECT_EQ(decode(*tokenizer, {1, 7, 3, 8, 10, 0}), " a\nab<u>");
}

TEST(GgufSentencePiece, TheMetadataMaySayOtherwise) {
  json metadata = llama_metadata();
  metadata["tokenizer.ggml.add_bos_token"] = false;
  metadata["tokenizer.ggml.add_eos_token"] = true;
  metadata["tokenizer.ggml.add_space_prefix"] = false;
  EXPECT_EQ(encode_gguf(metadata, "ab  a "), (Ids{8, 4, 7, 4, 2}));
  metadata["tokenizer.ggml.remove_extra_whitespaces"] = true;
  EXPECT_EQ(encode_gguf(metadata, " ab  a "), (Ids{8, 7, 2}));
  metadata["tokenizer.ggml.eos_token_id"] = 1;
  EXPECT_EQ(encode_gguf(metadata, "ab"), (Ids{8, 1}));
}

TEST(GgufSentencePiece, Gemma4sMergesAreAList) {
  json metadata = llama_metadata();
  metadata.erase("tokenizer.ggml.scores");
  metadata["tokenizer.ggml.model"] = "gemma4";
  metadata["tokenizer.ggml.merges"] = {"▁ a", "▁a b", "a b"};
  metadata["tokenizer.ggml.bos_token_id"] = 1;
  EXPECT_EQ(encode_gguf(metadata, "ab ab\n"), (Ids{1, 8, 9, 3}));
  EXPECT_EQ(encode_gguf(metadata, "<u>é"), (Ids{1, 10, 0}));
  metadata["tokenizer.ggml.add_bos_token"] = false;
  EXPECT_EQ(encode_gguf(metadata, "a"), (Ids{1, 5})) << "as the first files wrongly say";
  const auto tokenizer = make_tokenizer(tokenizer_json_from_gguf(metadata));
  EXPECT_EQ(decode(*tokenizer, {8, 9, 3}), "ab ab\n");
}

TEST(GgufSentencePiece, OfTheTokensOfPhi3MostTakeTheSpaceBehind) {
  json metadata = llama_metadata();
  EXPECT_EQ(encode_gguf(metadata, "</s> a"), (Ids{1, 2, 4, 7}));
  metadata["general.name"] = "Phi 3";
  EXPECT_EQ(encode_gguf(metadata, "</s> a"), (Ids{1, 2, 4, 7}));
  metadata["general.name"] = "Phi-3";
  EXPECT_EQ(encode_gguf(metadata, "</s> a"), (Ids{1, 2, 7}));
  EXPECT_EQ(encode_gguf(metadata, "<s> a"), (Ids{1, 1, 4, 7}));
}

TEST(GgufSentencePiece, MalformedMetadataIsAnErrorNamingTheKey) {
  EXPECT_THAT(llama_error("/tokenizer.ggml.scores", {1}),
              HasSubstr("tokenizer.ggml.scores has 1 entries, but tokenizer.ggml.tokens has 11"));
  EXPECT_THAT(llama_error("/tokenizer.ggml.scores/3", "x"),
              HasSubstr("tokenizer.ggml.scores[3] must be a number that is finite"));
  EXPECT_THAT(llama_error("/tokenizer.ggml.scores/3", std::nan("")),
              HasSubstr("scores[3] must be"));
  EXPECT_THAT(
      llama_error("/tokenizer.ggml.unknown_token_id", 11),
      HasSubstr("unknown_token_id must be an id below 11, the number of tokens, but is 11"));
  EXPECT_THAT(llama_error("/tokenizer.ggml.bos_token_id", 11), HasSubstr("bos_token_id must be"));
  EXPECT_THAT(llama_error("/tokenizer.ggml.tokens/3", std::string(1025, 'a')),
              HasSubstr("tokenizer.ggml.tokens[3]: a token of 1025 bytes, more than the 1024"));
  json metadata = llama_metadata();
  metadata.erase("tokenizer.ggml.scores");
  EXPECT_THAT(error_of([&] { (void)tokenizer_json_from_gguf(metadata); }),
              HasSubstr("has no \"tokenizer.ggml.scores\""));
}

TEST(GgufSentencePiece, TokensThatAreMadeInTooManyWaysAreAnError) {
  json metadata = llama_metadata();
  for (std::size_t n = 2; n < 100; ++n) {
    metadata["tokenizer.ggml.tokens"].push_back(std::string(n, 'a'));
    metadata["tokenizer.ggml.scores"].push_back(-10);
    metadata["tokenizer.ggml.token_type"].push_back(1);
  }
  EXPECT_THAT(error_of([&] { (void)tokenizer_json_from_gguf(metadata); }),
              HasSubstr("tokenizer.ggml.tokens can be made of one another in too many ways"));
}

}  // namespace
}  // namespace initrt
