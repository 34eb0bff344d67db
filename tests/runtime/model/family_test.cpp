// Which family a config belongs to.
#include "runtime/model/family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/sharding/errors.h"
#include "tests/support/small_llama.h"
#include "tests/support/source_path.h"

namespace initrt::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

nlohmann::json llama() { return config_of({}); }

std::string error_of_config(const nlohmann::json& config) {
  return error_of([&] { (void)build_graph(config); });
}

TEST(Family, IsThatOfTheArchitecture) {
  EXPECT_EQ(build_graph(llama()).family, "llama");
  nlohmann::json other_type = llama();
  other_type["model_type"] = "something";
  EXPECT_EQ(build_graph(other_type).family, "llama");
}

TEST(Family, IsThatOfTheModelTypeWhereNoArchitectureIsGiven) {
  nlohmann::json config = llama();
  config.erase("architectures");
  EXPECT_EQ(build_graph(config).family, "llama");
  config["architectures"] = nlohmann::json::array();
  EXPECT_EQ(build_graph(config).family, "llama");
}

TEST(Family, OfKimiK2IsDeepseeksWhereNoArchitectureIsGiven) {
  std::ifstream file(source_path("tests/golden/flagships/kimi_k2/config.json"));
  nlohmann::json config = nlohmann::json::parse(file);
  const std::size_t tensors = build_graph(config).tensors.size();
  config.erase("architectures");
  EXPECT_EQ(build_graph(config).tensors.size(), tensors);
  EXPECT_TRUE(knows_family(config));
}

TEST(Family, ThatIsNotKnownIsAnErrorThatNamesItAndTheKnownOnes) {
  nlohmann::json config = llama();
  config["architectures"] = {"BertForMaskedLM"};
  EXPECT_THAT(error_of_config(config),
              AllOf(HasSubstr("unknown architecture \"BertForMaskedLM\""), HasSubstr("\"llama\""),
                    HasSubstr("LlamaForCausalLM")));
  config.erase("architectures");
  config["model_type"] = "bert";
  EXPECT_THAT(error_of_config(config), HasSubstr("\"bert\""));
}

TEST(Family, OfAClassThatShardsOrWrapsAModelIsTheModels) {
  nlohmann::json config = llama();
  for (const char* name : {"FSDPLlamaForCausalLM", "LLaMAForCausalLM", "PeftModelForCausalLM",
                           "DistributedDataParallel", "OptimizedModule"}) {
    config["architectures"] = {name};
    EXPECT_EQ(build_graph(config).family, "llama") << name;
  }
  config["model_type"] = "bert";
  EXPECT_THAT(error_of_config(config), HasSubstr("unknown architecture"));
}

TEST(Family, OfAnotherClassOfAKnownTypeIsAnErrorThatSaysWhatToDo) {
  nlohmann::json config = llama();
  config["architectures"] = {"LigerLlamaForCausalLM"};
  EXPECT_THAT(error_of_config(config),
              HasSubstr("model_type \"llama\" is that of LlamaForCausalLM: if it is one, say so"));
}

TEST(Family, OfAConfigWithoutEitherIsAnError) {
  for (const nlohmann::json& config : {nlohmann::json::object(), nlohmann::json{{"model_type", 7}},
                                       nlohmann::json{{"architectures", "LlamaForCausalLM"}},
                                       nlohmann::json{{"architectures", {7}}}}) {
    EXPECT_THAT(error_of_config(config), HasSubstr("unknown architecture"));
  }
}

TEST(Family, OfWhatIsNoObjectIsAnError) {
  for (const nlohmann::json& config :
       {nlohmann::json(), nlohmann::json::array(), nlohmann::json("llama")}) {
    EXPECT_THAT(error_of_config(config), HasSubstr("not a JSON object"));
  }
}

// A name in a checkpoint may hold anything; the error stays one line.
TEST(Family, NamesInErrorsStayOneLine) {
  nlohmann::json config = llama();
  config["architectures"] = {"Llama\nFor\x1b[31mCausalLM"};
  EXPECT_THAT(error_of_config(config), HasSubstr("unknown architecture"));
}

}  // namespace
}  // namespace initrt::testing
