// What is found of results, what is gone on from, and what a full disk leaves.
#include "launch/output/result_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "runtime/storage/local_files.h"
#include "tests/sharding/errors.h"
#include "tests/support/process.h"
#include "tests/support/temporary_directory.h"

namespace initrt {
namespace {

using testing::contents;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Results : public ::testing::Test {
 protected:
  Results() {
    for (std::size_t i = 0; i < prompts_.size(); ++i) prompts_[i].line = i + 1;
    prompts_[2].id = "\"c\"";
  }

  void have(const std::string& text) const { std::ofstream(path_) << text; }
  void have_ahead(const std::string& text) const { std::ofstream(path_ + ".ahead") << text; }
  [[nodiscard]] FinishedResults find() { return find_finished(files_, path_, prompts_, range_); }

  testing::TemporaryDirectory directory_;
  LocalFiles files_;
  const std::string path_ = directory_.file("out.jsonl");
  std::vector<PromptText> prompts_ = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}};
  PromptRange range_{0, 4};
  const std::string a_ = "{\"prompt\":\"a\",1}\n", b_ = "{\"line\":2,\"error\":\"x\"}\n",
                    c_ = "{\"id\":\"c\",\"prompt\":\"c\",3}\n", d_ = "{\"prompt\":\"d\",4}\n";
};

TEST_F(Results, AreNoneWhereThereIsNoFile) {
  have_ahead("3 " + d_);
  const FinishedResults found = find();
  EXPECT_EQ(found.count, 0u);
  EXPECT_THAT(found.ahead, IsEmpty()) << "of a file that somebody has removed";
  ResultFile(path_, found).finish(false);
  EXPECT_FALSE(std::filesystem::exists(path_ + ".ahead"));
}

TEST_F(Results, AreGoneOnFromAfterTheLastWholeLine) {
  have(a_ + b_ + c_.substr(0, 10));
  const FinishedResults found = find();
  EXPECT_EQ(found.count, 2u);
  EXPECT_EQ(found.whole_bytes, a_.size() + b_.size());
  mark_done(found, range_, prompts_);
  EXPECT_TRUE(prompts_[1].done && !prompts_[2].done);
  {
    ResultFile file(path_, found);
    EXPECT_EQ(contents(path_), a_ + b_);
    file.write(c_);
    file.finish(false);
  }
  EXPECT_EQ(contents(path_), a_ + b_ + c_);
}

TEST_F(Results, ThatWereKeptAreNotComputedAgain) {
  have(a_);
  have_ahead("0 " + a_ + "2 " + c_ + "3 " + d_ + "1 {\"prompt\":\"b\",half");
  const FinishedResults found = find();
  EXPECT_THAT(found.ahead, ElementsAre(2, 3));
  mark_done(found, range_, prompts_);
  EXPECT_TRUE(prompts_[2].done && !prompts_[1].done);
  ResultFile file(path_, found);
  EXPECT_THAT(file.take_kept(), ElementsAre(std::pair(2u, c_), std::pair(3u, d_)));
  file.keep(1, b_);
  EXPECT_THAT(contents(path_ + ".ahead"), ::testing::EndsWith(d_ + "1 " + b_))
      << "after the last whole line";
  file.finish(true);
  EXPECT_FALSE(std::filesystem::exists(path_ + ".ahead"));
}

TEST_F(Results, OfOtherPromptsAreAnError) {
  have(a_ + "{\"prompt\":\"z\",2}\n");
  EXPECT_THAT(error_of([&] { (void)find(); }),
              ::testing::AllOf(HasSubstr(path_), HasSubstr("line 2 is no result of prompt 1")));
  have(a_ + b_ + c_ + d_ + d_);
  EXPECT_THAT(error_of([&] { (void)find(); }), HasSubstr("line 5 is no result of these 4 prompts"));
  prompts_[2].id = "\"other\"";
  have(a_ + b_ + c_);
  EXPECT_THAT(error_of([&] { (void)find(); }), HasSubstr("line 3 is no result of prompt 2"));
}

TEST_F(Results, OfAPartAreItsOwn) {
  range_ = {2, 4};
  have(c_);
  const FinishedResults found = find();
  EXPECT_EQ(found.count, 1u);
  mark_done(found, range_, prompts_);
  EXPECT_TRUE(prompts_[2].done && !prompts_[0].done && !prompts_[3].done);
}

TEST_F(Results, GoToARegularFile) {
  prompts_.resize(1);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { (void)find(); }), HasSubstr("no regular file"));
}

TEST_F(Results, AreWrittenByOneRunAtATime) {
  const FinishedResults found = find();
  const ResultFile first(path_, found);
  EXPECT_EQ(error_of([&] { const ResultFile second(path_, found); }),
            path_ + ": another run is writing its results there");
}

TEST_F(Results, ThatChangedAfterTheyWereReadAreAnError) {
  const FinishedResults found = find();
  have(a_);
  EXPECT_THAT(error_of([&] { const ResultFile file(path_, found); }),
              HasSubstr("changed since this run has read it: 0 bytes then, 17 now"));
}

TEST_F(Results, AreWholeLinesOnAFullDisk) {
  struct rlimit limit {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const struct rlimit before = limit;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  limit.rlim_cur = a_.size() + 5;
  ResultFile file(path_, find());
  file.write(a_);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  const std::string error = error_of([&] { file.write(c_); });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(error, path_ + ": cannot be written: File too large");
  EXPECT_EQ(contents(path_), a_);
}

}  // namespace
}  // namespace initrt
