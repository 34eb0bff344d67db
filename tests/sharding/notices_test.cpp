#include "sharding/notices.h"

#include <gtest/gtest.h>

namespace initrt {
namespace {

TEST(LogLine, NamesRankAndLevel) {
  EXPECT_EQ(log_line(LogLevel::Warning, "rank 3 on gpu01: ", "slow"),
            "initrt: rank 3 on gpu01: warning: slow\n");
  EXPECT_EQ(log_line(LogLevel::Note, "", "slow"), "initrt: note: slow\n");
  EXPECT_EQ(log_line(LogLevel::Error, "", "failed"), "initrt: error: failed\n");
}

TEST(LogLine, IsOneLineWhateverTheText) {
  EXPECT_EQ(log_line(LogLevel::Error, "rank 1: ", "a\nb\x1b[31m"),
            "initrt: rank 1: error: a\\nb\\x1b[31m\n");
}

}  // namespace
}  // namespace initrt
