#include "sharding/human_bytes.h"

#include <gtest/gtest.h>

namespace initrt {
namespace {

TEST(HumanBytes, AreShownWithThreeDigits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1000), "1 kB");
  EXPECT_EQ(human_bytes(1'234'567), "1.23 MB");
  EXPECT_EQ(human_bytes(999'600), "1 MB");
  EXPECT_EQ(human_bytes(5e15), "5e+03 TB");
}

}  // namespace
}  // namespace initrt
