// Weights as bitsandbytes writes them, and what is refused of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sharding/checkpoint/quantized/quantized_ways.h"
#include "tests/sharding/errors.h"

namespace initrt::testing {
namespace {

using ::testing::HasSubstr;

TEST(FindBitsandbytes, ScalesOfAnotherShapeNameTheOneThatIsExpected) {
  EXPECT_THAT(error_with("BitsandbytesInt8", {"SCB", DType::F32, {63}}),
              HasSubstr("SCB\" has shape [63], but a weight of [64, 96] asks for [64]"));
  EXPECT_THAT(error_with("BitsandbytesNf4", {"weight.absmax", DType::U8, {97}}),
              HasSubstr("expected one scale for each 32 to 4096 of 6144 elements"));
  EXPECT_THAT(error_with("BitsandbytesNf4", {"weight.nested_absmax", DType::F32, {5}}),
              HasSubstr("nested_absmax\" has shape [5]: expected [1] for 96 scales"));
  EXPECT_THAT(error_with("BitsandbytesNf4", {"weight.quant_map", DType::F32, {15}}),
              HasSubstr("asks for [16]"));
}

TEST(FindBitsandbytes, CodesOfAnotherShapeNameTheOneThatIsExpected) {
  EXPECT_THAT(error_with("BitsandbytesNf4", {"weight", DType::U8, {3071, 1}}),
              HasSubstr("asks for [3072, 1] or [1, 3072]"));
}

TEST(FindBitsandbytes, DtypesThatNoLibraryWritesAreErrors) {
  EXPECT_THAT(error_with("BitsandbytesInt8", {"SCB", DType::F16, {64}}), HasSubstr("expected F32"));
  EXPECT_THAT(
      error_with("BitsandbytesNf4", {"weight.quant_state.bitsandbytes__nf4", DType::U8, {5000}}),
      HasSubstr("expected 1 to 4096 bytes"));
}

TEST(FindBitsandbytes, WhatIsMissingBesideAWeightIsNamed) {
  EXPECT_THAT(error_lacking("BitsandbytesNf4", "weight.nested_quant_map"),
              HasSubstr("\"weight.nested_quant_map\""));
}

TEST(FindBitsandbytes, AConfigThatSaysOtherwiseIsAnError) {
  EXPECT_THAT(error_under("BitsandbytesInt8", {{"quant_method", "hqq"}}),
              HasSubstr("the config says \"hqq\""));
  EXPECT_THAT(error_under("BitsandbytesNf4", {{"quant_method", "hqq"}}),
              HasSubstr("the config says \"hqq\""));
}

}  // namespace
}  // namespace initrt::testing
