#include "runtime/start/end_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sharding/error.h"

namespace initrt {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<TokenId> ids_of(const std::string& config, const std::string& metadata = "{}") {
  Catalog catalog;
  catalog.metadata = json::parse(metadata);
  return end_tokens_of_model(json::parse(config), catalog);
}

std::string error_of(const std::string& config, const std::string& metadata = "{}") {
  try {
    (void)ids_of(config, metadata);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(EndTokensOfAModel, AreANumberOrAList) {
  EXPECT_THAT(ids_of(R"({"eos_token_id": 2})"), ElementsAre(2));
  EXPECT_THAT(ids_of(R"({"eos_token_id": [128009, 128001, 128009]})"), ElementsAre(128001, 128009));
  for (const char* none : {"{}", R"({"eos_token_id": null})", R"({"eos_token_id": -1})"}) {
    EXPECT_THAT(ids_of(none), IsEmpty()) << none;
  }
}

TEST(EndTokensOfAModel, AreTheGenerationConfigsBeforeTheModelConfigs) {
  EXPECT_THAT(ids_of(R"({"eos_token_id": 1, "generation_config": {"eos_token_id": [106, 1]}})"),
              ElementsAre(1, 106));
  EXPECT_THAT(ids_of(R"({"eos_token_id": 1, "generation_config": {"eos_token_id": 106}})"),
              ElementsAre(106));
  EXPECT_THAT(ids_of(R"({"eos_token_id": 1, "generation_config": {"temperature": 0.6}})"),
              ElementsAre(1));
}

TEST(EndTokensOfAModel, OfAGgufFileAreThoseOfATurnAndAMessageToo) {
  EXPECT_THAT(ids_of(R"({"eos_token_id": 128001})",
                     R"({"tokenizer.ggml.eot_token_id": 128009,
                         "tokenizer.ggml.eom_token_id": 128008})"),
              ElementsAre(128001, 128008, 128009));
}

TEST(EndTokensOfAModel, ThatAreNoIdsAreErrors) {
  for (const char* bad : {"\"</s>\"", "1.5", "true", "{}", "[1, \"2\"]", "[[1]]", "2147483648"}) {
    EXPECT_EQ(error_of(std::string(R"({"eos_token_id": )") + bad + "}"),
              "model config: eos_token_id is neither a token id nor a list of them")
        << bad;
  }
  EXPECT_EQ(error_of(R"({"generation_config": {"eos_token_id": "x"}})"),
            "generation_config.json: eos_token_id is neither a token id nor a list of them");
  EXPECT_EQ(error_of("{}", R"({"tokenizer.ggml.eot_token_id": "x"})"),
            "tokenizer.ggml.eot_token_id is neither a token id nor a list of them");
}

}  // namespace
}  // namespace initrt
