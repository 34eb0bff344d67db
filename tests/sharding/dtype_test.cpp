#include "sharding/dtype.h"

#include <gtest/gtest.h>

#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::error_of;

constexpr int kDTypes = static_cast<int>(DType::MXFP4) + 1;

TEST(DType, TableIsInTheEnumsOrderAndNamesLeadBack) {
  for (int i = 0; i < kDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(info(dtype).dtype, dtype);
    EXPECT_EQ(dtype_from_name(name(dtype)), dtype);
  }
  EXPECT_FALSE(dtype_from_name("bf16"));
  EXPECT_FALSE(dtype_from_name(""));
}

TEST(DType, BytesAreWholeBlocks) {
  EXPECT_EQ(bytes_of(DType::BF16, 7), 14u);
  EXPECT_EQ(bytes_of(DType::F8_E4M3, 7), 7u);
  EXPECT_EQ(bytes_of(DType::Q4_1, 64), 40u);
  EXPECT_EQ(bytes_of(DType::Q6_K, 512), 420u);
  EXPECT_EQ(bytes_of(DType::Q8_0, 0), 0u);
  EXPECT_EQ(error_of([] { (void)bytes_of(DType::Q8_0, 33); }),
            "33 elements are not a whole number of Q8_0 blocks of 32");
}

TEST(DType, SizesThatOverflowAreErrors) {
  EXPECT_EQ(bytes_of(DType::F64, (1ull << 61) - 1), (1ull << 61) * 8 - 8);
  EXPECT_EQ(error_of([] { (void)bytes_of(DType::F64, 1ull << 61); }),
            "the size of 2305843009213693952 elements of F64 overflows");
  // A block type of less than a byte per element does not overflow as early.
  EXPECT_EQ(bytes_of(DType::Q4_0, 1ull << 63), (1ull << 63) / 32 * 18);
}

}  // namespace
}  // namespace initrt
