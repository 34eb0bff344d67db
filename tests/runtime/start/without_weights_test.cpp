#include "runtime/start/without_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/start/open_model.h"
#include "sharding/error.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"
#include "tests/support/small_llama.h"

namespace initrt {
namespace {

using testing::error_of;
using testing::MemoryFiles;

constexpr const char* kIndex =
    R"({"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}})";

MemoryFiles config_alone() {
  MemoryFiles files;
  files.content["m/config.json"] = config_of(testing::SmallLlama()).dump();
  return files;
}

TEST(WithoutWeights, AConfigIsFoundByItsPathOrItsDirectory) {
  MemoryFiles files = config_alone();
  EXPECT_EQ(config_without_weights(files, "m"), "m/config.json");
  EXPECT_EQ(config_without_weights(files, "m/config.json"), "m/config.json");
  EXPECT_EQ(config_without_weights(files, "n"), std::nullopt);
  files.content["m/model.safetensors.index.json"] = kIndex;
  EXPECT_EQ(config_without_weights(files, "m"), "m/config.json");
  EXPECT_EQ(config_without_weights(files, "m/model.safetensors.index.json"), "m/config.json");
  files.content["m/model-00002-of-00002.safetensors"] = "";
  EXPECT_EQ(config_without_weights(files, "m"), std::nullopt) << "a checkpoint that is not whole";
}

TEST(WithoutWeights, AnIndexLeftOverBesideWeightsDoesNotHideThem) {
  for (const char* weights :
       {"m/model.safetensors", "m/model-00001-of-00002.safetensors", "m/x.safetensors"}) {
    MemoryFiles files = config_alone();
    files.content["m/pytorch_model.bin.index.json"] =
        R"({"weight_map": {"a": "pytorch_model-00001-of-00002.bin"}})";
    EXPECT_EQ(config_without_weights(files, "m"), "m/config.json");
    files.content[weights] = "";
    EXPECT_EQ(config_without_weights(files, "m"), std::nullopt) << weights;
    EXPECT_EQ(config_without_weights(files, "m/pytorch_model.bin.index.json"), std::nullopt);
  }
}

TEST(WithoutWeights, AnIndexOfFilesWithAnyNameIsFollowed) {
  MemoryFiles files = config_alone();
  files.content["m/pytorch_model.bin.index.json"] = R"({"weight_map": {"a": "part one"}})";
  EXPECT_EQ(config_without_weights(files, "m"), "m/config.json");
  files.content["m/part one"] = "x";
  EXPECT_EQ(config_without_weights(files, "m"), std::nullopt);
}

TEST(WithoutWeights, TensorsAreThoseThatACheckpointWouldHold) {
  MemoryFiles files = config_alone();
  const testing::SmallLlama small;
  const Catalog catalog = catalog_without_weights(files, "m", "m/config.json", DType::BF16);
  EXPECT_EQ(catalog.format, kNoWeights);
  const std::int64_t place = catalog.find("model.layers.1.mlp.gate_proj.weight");
  ASSERT_GE(place, 0);
  EXPECT_EQ(catalog.tensors[static_cast<std::size_t>(place)].shape,
            (std::vector<std::uint64_t>{small.intermediate, small.hidden}));
  // It binds as a checkpoint does, to the last tensor.
  ModelOptions options;
  options.path = "m";
  const OpenModel model = open_model(files, options, catalog);
  EXPECT_TRUE(model.bindings.unexpected.empty());
  EXPECT_EQ(model.bindings.payload_bytes, catalog.files.front().bytes);
}

TEST(WithoutWeights, ElementsAreWhatTheConfigSaysOrElseWhatIsAsked) {
  MemoryFiles files;
  auto config = config_of(testing::SmallLlama());
  const auto dtype = [&](DType silent) {
    files.content["m/config.json"] = config.dump();
    return catalog_without_weights(files, "m", "m/config.json", silent).tensors.front().dtype;
  };
  config.erase("torch_dtype");
  config.erase("dtype");
  EXPECT_EQ(dtype(DType::BF16), DType::BF16);
  config["dtype"] = "float16";
  EXPECT_EQ(dtype(DType::BF16), DType::F16);
  config["torch_dtype"] = "float32";
  EXPECT_EQ(dtype(DType::BF16), DType::F32);
}

TEST(WithoutWeights, ARunSaysThatThereAreNone) {
  MemoryFiles files = config_alone();
  ModelOptions options;
  options.path = "m/config.json";
  EXPECT_EQ(error_of([&] { (void)open_model(files, options); }),
            "m/config.json: no weights, a config alone: initrt plan and inspect take that, a run "
            "needs weights");
  options.path = "m";
  EXPECT_THAT(error_of([&] { (void)open_model(files, options); }),
              ::testing::HasSubstr("config.json is there, but no weights"));
}

}  // namespace
}  // namespace initrt
