#include "launch/commands/test_pause.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "sharding/error.h"

namespace initrt {
namespace {

class Pause : public ::testing::Test {
 protected:
  static std::optional<TestPause> parse(const char* text) {
    setenv("INITRT_TEST_PAUSE", text, 1);
    return test_pause();
  }
  void TearDown() override { unsetenv("INITRT_TEST_PAUSE"); }
};

TEST_F(Pause, IsNoneByDefault) { EXPECT_FALSE(test_pause()); }

TEST_F(Pause, NamesARankAStageAndAUnit) {
  const auto pause = parse("3:generate:12");
  ASSERT_TRUE(pause);
  EXPECT_EQ(pause->rank, 3u);
  EXPECT_EQ(pause->stage, Stage::Generate);
  EXPECT_EQ(pause->unit, 12u);
  EXPECT_EQ(pause->left, 1u);
  EXPECT_EQ(parse("0:load:0")->stage, Stage::Load);
  EXPECT_EQ(parse("0:load:0:17")->left, 17u);
}

TEST_F(Pause, AnythingElseIsAnError) {
  for (const char* text :
       {"", ":", "::", "1", "1:load", "1:load:", ":load:1", "-1:load:1", "1:sleep:1", "1:load:1x",
        "1:load:99999999999", "1:load:1:1:1", "1:load:1:0", "1:load:1:", " 1:load:1"}) {
    EXPECT_THROW((void)parse(text), Error) << text;
  }
}

TEST_F(Pause, ElsewhereNothingHappens) {
  auto pause = parse("1:load:5:3");
  pause_if_asked(pause, 0, Stage::Load, 5);
  pause_if_asked(pause, 1, Stage::Generate, 5);
  pause_if_asked(pause, 1, Stage::Load, 4);
  pause_if_asked(pause, 1, Stage::Load, 5);  // the first time of three
  EXPECT_EQ(pause->left, 2u);
}

}  // namespace
}  // namespace initrt
