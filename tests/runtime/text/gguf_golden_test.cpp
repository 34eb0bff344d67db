// Vocabularies as GGUF files hold them against what the reference library makes of the same
// vocabularies' tokenizer.json. The ids for `llama` are also those of llama.cpp (build 11549), text
// by text.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/runtime/text/styles.h"

namespace initrt {
namespace {

using nlohmann::json;

/// Metadata with the vocabulary of a style, its added tokens and BOS.
json metadata_of(const json& tokenizer) {
  std::vector<std::string> tokens(tokenizer["model"]["vocab"].size());
  for (const auto& [token, id] : tokenizer["model"]["vocab"].items()) tokens[id] = token;
  std::vector<int> types(tokens.size(), 1);
  for (const json& added : tokenizer["added_tokens"]) {
    const auto id = added["id"].get<std::size_t>();
    tokens.resize(std::max(tokens.size(), id + 1));
    types.resize(tokens.size());
    tokens[id] = added["content"];
    types[id] = added["special"] == true ? 3 : 4;
  }
  return {{"tokenizer.ggml.tokens", tokens}, {"tokenizer.ggml.token_type", types}};
}

void expect_references(const json& metadata, const std::string& style) {
  // Through text and back, as `convert` writes it and a checkpoint folder is read.
  const auto tokenizer = make_tokenizer(json::parse(tokenizer_json_from_gguf(metadata).dump()));
  const std::vector<styles::Reference> references = styles::references(style);
  ASSERT_GE(references.size(), 2000u);
  for (std::size_t i = 0; i < references.size(); ++i) {
    const std::vector<TokenId> ids = tokenizer->encode(styles::texts()[i]);
    EXPECT_EQ(styles::hash(ids), references[i].ids) << styles::describe(style, i, ids);
  }
}

struct Kind {
  const char* name;
  const char* style;
};

class GgufGolden : public ::testing::TestWithParam<Kind> {};

TEST_P(GgufGolden, AKindOfPreTokenizerIsThatOfItsModel) {
  const json tokenizer = styles::tokenizer_json(GetParam().style);
  json metadata = metadata_of(tokenizer);
  metadata["tokenizer.ggml.model"] = "gpt2";
  metadata["tokenizer.ggml.pre"] = GetParam().name;
  metadata["tokenizer.ggml.bos_token_id"] = 1000;
  metadata["tokenizer.ggml.add_bos_token"] = GetParam().style == std::string("llama3");
  for (const json& merge : tokenizer["model"]["merges"]) {
    metadata["tokenizer.ggml.merges"].push_back(merge[0].get<std::string>() + " " +
                                                merge[1].get<std::string>());
  }
  expect_references(metadata, GetParam().style);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, GgufGolden,
    testing::Values(Kind{"gpt-2", "gpt2"}, Kind{"llama-bpe", "llama3"}, Kind{"falcon3", "llama3"},
                    Kind{"qwen2", "qwen2"}, Kind{"smollm", "smollm"}, Kind{"refact", "smollm"},
                    Kind{"falcon", "falcon"}, Kind{"gpt-4o", "gpt4o"}, Kind{"tekken", "tekken"},
                    Kind{"bloom", "bloom"}, Kind{"deepseek-llm", "deepseek_llm"},
                    Kind{"deepseek-coder", "deepseek_coder"}, Kind{"deepseek-v3", "deepseek_v3"},
                    Kind{"command-r", "command_r"}, Kind{"olmo", "olmo"},
                    Kind{"stablelm2", "stablelm2"}, Kind{"dbrx", "dbrx"}, Kind{"qwen35", "qwen35"},
                    Kind{"viking", "viking"}, Kind{"default", "gguf_default"}),
    [](const auto& param) {
      std::string name = param.param.name;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

/// Metadata of the model "llama" with scores that give the merges of a style.
json sentencepiece_metadata(const std::string& style) {
  const json tokenizer = styles::tokenizer_json(style);
  json metadata = metadata_of(tokenizer);
  metadata["tokenizer.ggml.model"] = "llama";
  metadata["tokenizer.ggml.token_type"][0] = 2;
  // As SentencePiece writes them: pieces that are made earlier come earlier, and have a score of
  // minus their place.
  json& scores = metadata["tokenizer.ggml.scores"];
  for (std::size_t id = 0; id < metadata["tokenizer.ggml.tokens"].size(); ++id) {
    const auto& token = metadata["tokenizer.ggml.tokens"][id].get_ref<const std::string&>();
    if (token.starts_with("<0x")) metadata["tokenizer.ggml.token_type"][id] = 6;
    scores.push_back(id < 259 ? 0.0 : 259.0 - static_cast<double>(id));
  }
  return metadata;
}

TEST(GgufSentencePieceGolden, MergesByScoreAsLlamaCppAndLlama2) {
  expect_references(sentencepiece_metadata("llama2"), "llama2");
}

TEST(GgufSentencePieceGolden, WithoutASpaceInFrontAsGemma) {
  json metadata = sentencepiece_metadata("gguf_gemma");
  metadata["tokenizer.ggml.add_space_prefix"] = false;
  expect_references(metadata, "gguf_gemma");
}

TEST(GgufSentencePieceGolden, StripsBehindTheTokensOfPhi3) {
  json metadata = sentencepiece_metadata("phi3");
  metadata["general.name"] = "Phi-3-mini";
  expect_references(metadata, "phi3");
}

}  // namespace
}  // namespace initrt
