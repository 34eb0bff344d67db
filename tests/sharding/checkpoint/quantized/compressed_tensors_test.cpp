// Weights as compressed-tensors writes them, and what is refused of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sharding/checkpoint/quantized/quantized_ways.h"
#include "tests/sharding/errors.h"

namespace initrt::testing {
namespace {

using ::testing::HasSubstr;

TEST(FindCompressedTensors, ScalesOfAnotherShapeNameTheOneThatIsExpected) {
  EXPECT_THAT(error_with("CompressedInt4", {"weight_scale", DType::BF16, {64, 4}}),
              HasSubstr("asks for [64, 3]"));
  EXPECT_THAT(error_with("CompressedMxfp4", {"weight_scale", DType::U8, {64, 4}}),
              HasSubstr("asks for [64, 3]"));
}

TEST(FindCompressedTensors, CodesOfAnotherShapeNameTheOneThatIsExpected) {
  EXPECT_THAT(error_with("CompressedInt4", {"weight_packed", DType::I32, {64, 13}}),
              HasSubstr("asks for [64, 12]"));
}

TEST(FindCompressedTensors, DtypesThatNoLibraryWritesAreErrors) {
  EXPECT_THAT(error_with("CompressedInt4", {"weight_packed", DType::U32, {64, 12}}),
              HasSubstr("expected I32 or U8"));
}

TEST(FindCompressedTensors, WhatIsMissingBesideAWeightIsNamed) {
  EXPECT_THAT(error_lacking("CompressedInt4", "weight_scale"), HasSubstr("\"weight_scale\""));
}

TEST(FindCompressedTensors, AConfigThatSaysOtherwiseIsAnError) {
  EXPECT_THAT(error_under("CompressedInt4", {{"quant_method", "hqq"}}),
              HasSubstr("the config says \"hqq\""));
  EXPECT_THAT(error_under("CompressedInt4", Json()), HasSubstr("the config says nothing of it"));
}

TEST(FindCompressedTensors, AnOrderThatTheConfigNamesIsBesideTheWeight) {
  for (const Json& order : {Json("group"), Json("dynamic"), Json(true)}) {
    const Json config = compressed("pack-quantized", changed(four_bits(), "actorder", order));
    EXPECT_THAT(error_under("CompressedInt4", config),
                HasSubstr("\"weight_g_idx\" is not beside it"));
  }
  Way one = way("CompressedInt4");
  one.config = compressed("pack-quantized", changed(four_bits(), "actorder", "weight"));
  EXPECT_TRUE(bound(one).tensors[kWeight].quantized);
}

TEST(FindCompressedTensors, TheGroupThatTheTensorsFitIsChosen) {
  Json config = way("CompressedInt4").config;
  Json eight = four_bits();
  eight["num_bits"] = 8;
  config["config_groups"]["group_1"] = {{"targets", {"re:.*self_attn.*"}}, {"weights", eight}};
  config["config_groups"]["group_2"] = {{"targets", {"x"}}, {"weights", nullptr}};
  Way mixed = way("CompressedInt4");
  mixed.config = config;
  EXPECT_EQ(bound(mixed).tensors[kWeight].quantized->bits, 4u);
  EXPECT_THAT(error_under("CompressedInt4", compressed("pack-quantized", eight)),
              HasSubstr("weight_packed\" has shape [64, 12], but a weight of [64, 96] asks for "
                        "[64, 24]"));
  EXPECT_THAT(error_under("CompressedInt4", changed(config, "config_groups", Json::object())),
              HasSubstr("no config_groups with weights"));
  Json many;
  for (int i = 0; i < 300; ++i) many[std::to_string(i)] = config["config_groups"]["group_0"];
  EXPECT_THAT(error_under("CompressedInt4", changed(config, "config_groups", many)),
              HasSubstr("300 config_groups: expected at most 256"));
  EXPECT_THAT(error_under("CompressedInt4", changed(config, "format", "marlin-24")),
              HasSubstr("\"marlin-24\", which is not read"));
  EXPECT_THAT(error_under("CompressedInt4", changed(config, "transform_config", {{"a", 1}})),
              HasSubstr("transform_config"));
  EXPECT_THAT(error_under("CompressedInt4",
                          changed(config, "sparsity_config", {{"format", "sparse-24-bitmask"}})),
              HasSubstr("sparse in the format \"sparse-24-bitmask\""));
}

}  // namespace
}  // namespace initrt::testing
