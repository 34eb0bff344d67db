#include "sharding/error.h"

#include <gtest/gtest.h>

namespace initrt {
namespace {

TEST(OneLine, EscapesControlCharacters) {
  EXPECT_EQ(one_line("a\nb\r\t\x1b[31m\x7f"), "a\\nb\\r\\t\\x1b[31m\\x7f");
  EXPECT_EQ(one_line(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(one_line("\xc2\x9b"
                     "31m\xc2\x85"),
            "\\xc2\\x9b31m\\xc2\\x85");
}

TEST(OneLine, LeavesAllElse) {
  for (const char* text : {"", "C:\\names", "größer, 多い, \xc2\xa0 \xc3\x9b", "\xff\xc2"}) {
    EXPECT_EQ(one_line(text), text);
  }
}

TEST(OneLine, ChangesNothingTheSecondTime) {
  const std::string once = one_line("a\n\\n\x01\xc2\x80");
  EXPECT_EQ(one_line(once), once);
}

}  // namespace
}  // namespace initrt
