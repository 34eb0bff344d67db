// FP8 weights and what is refused of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sharding/checkpoint/quantized/quantized_ways.h"
#include "tests/sharding/errors.h"

namespace initrt::testing {
namespace {

using ::testing::HasSubstr;

TEST(FindFp8, ScalesOfAnotherShapeNameTheOneThatIsExpected) {
  EXPECT_EQ(
      error_with("Fp8PartialBlocks", {"weight_scale_inv", DType::F32, {3, 3}}),
      "model/file: tensor \"model.layers.0.mlp.down_proj.weight_scale_inv\" has shape [3, 3], "
      "but a weight of [192, 320] asks for [2, 3]");
  EXPECT_THAT(error_with("Fp8EachRow", {"weight_scale", DType::F32, {3}}),
              HasSubstr("expected one scale, or one for each of 64 rows"));
}

TEST(FindFp8, CodesOfAnotherShapeNameTheOneThatIsExpected) {
  EXPECT_THAT(error_with("Fp8OneScale", {"weight", DType::F8_E4M3, {64, 95}}),
              HasSubstr("weight\" has shape [64, 95], but a weight of [64, 96] asks for [64, 96]"));
}

TEST(FindFp8, DtypesThatNoLibraryWritesAreErrors) {
  EXPECT_THAT(error_with("Fp8OneScale", {"weight_scale", DType::I32, {}}),
              HasSubstr("is I32: expected F32"));
  EXPECT_THAT(error_with("Fp8OneScale", {"weight_scale", DType::U8, {}}),
              HasSubstr("\"scale_fmt\": \"ue8m0\""));
}

TEST(FindFp8, AConfigThatSaysOtherwiseIsAnError) {
  EXPECT_THAT(error_under("Fp8OneScale", {{"quant_method", "hqq"}}),
              HasSubstr("the config says \"hqq\""));
  EXPECT_THAT(error_under("Fp8PartialBlocks", changed(fp8(), "weight_block_size", {128, 0})),
              HasSubstr("weight_block_size is \"[128,0]\": expected two positive numbers"));
  EXPECT_THAT(error_under("Fp8PartialBlocks", {{"quant_method", "fp8"}}),
              HasSubstr("the config has no weight_block_size"));
}

TEST(FindFp8, ABlockOfScalesIsTheConfigsNotTheGrids) {
  const QuantizedWeight weight = *bound(way("Fp8PartialBlocks")).tensors[kWeight].quantized;
  EXPECT_EQ(weight.block_rows, 128u);
  const std::vector<SourceBox> boxes = source_boxes(weight, 120, 16);
  EXPECT_EQ(boxes[1].row, 0u);
  EXPECT_EQ(boxes[1].rows, 2u);
  EXPECT_EQ(source_boxes(weight, 128, 64)[1].row, 1u);
}

TEST(FindFp8, ScalesOfActivationsAndCachesAreKnownAndNotUsed) {
  Way one = way("Fp8OneScale");
  for (const char* name : {"input_scale", "output_scale", "input_scale_ub"}) {
    one.parts.push_back({name, DType::F32, {}});
  }
  const Bindings bindings = bound(one);
  EXPECT_EQ(bindings.skipped, 3u);
  EXPECT_EQ(bindings.unexpected.size(), 0u);
  EXPECT_EQ(bindings.payload_bytes, 3u * 64 + 64 * 96 + 4);
}

}  // namespace
}  // namespace initrt::testing
