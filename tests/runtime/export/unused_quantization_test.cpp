// Configs that call plain weights quantized: the model is opened, and written without the claim.
#include <gtest/gtest.h>

#include <fstream>

#include "runtime/export/convert_texts.h"
#include "runtime/storage/local_files.h"
#include "sharding/error.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

constexpr const char* kClaims[] = {"quantization_config", "compression_config", "quantization"};

TEST(UnusedQuantization, IsNoErrorAndIsNotWrittenAgain) {
  for (const char* key : kClaims) {
    const SmallCheckpoint checkpoint;
    nlohmann::json config = config_of(checkpoint.model);
    config[key] = {{"quant_method", "fp8"}};
    std::ofstream(checkpoint.directory.file("config.json")) << config;
    const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "32-true");
    EXPECT_EQ(model.bindings.unused_quantization, "fp8");

    LocalFiles files;
    ConvertOptions options;
    options.model.path = checkpoint.directory.path();
    const std::vector<TextFile> texts = checkpoint_texts(files, options, model, {});
    ASSERT_EQ(texts.back().name, "config.json");
    const nlohmann::json written = nlohmann::json::parse(texts.back().content);
    EXPECT_EQ(written["hidden_size"], config["hidden_size"]);
    for (const char* claim : kClaims) EXPECT_FALSE(written.contains(claim)) << claim;
  }
}

}  // namespace
}  // namespace initrt::testing
