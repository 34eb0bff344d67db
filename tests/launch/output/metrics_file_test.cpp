#include "launch/output/metrics_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <regex>
#include <sstream>
#include <thread>

#include "sharding/error.h"
#include "tests/support/process.h"
#include "tests/support/temporary_directory.h"

namespace initrt {
namespace {

using ::testing::HasSubstr;

Metrics some() {
  Metrics metrics;
  metrics.model = "a \"model\"\n";
  metrics.loading = {{5, 10, true}, {}, {7, 7, true}};
  metrics.prompts = 9;
  metrics.prompts_done = 4;
  metrics.tokens = 123;
  return metrics;
}

// Every line of the format: a comment of a known kind, or a name, labels and a number.
TEST(Metrics, AreInPrometheussTextFormat) {
  const std::string text = metrics_text(some());
  std::istringstream lines(text);
  const std::regex sample(
      R"re([a-z_]+(\{[a-z]+="([^"\\]|\\["\\n])*"\})? [0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?)re"),
      comment(R"(# (HELP [a-z_]+ [^\\]+|TYPE [a-z_]+ (gauge|counter)))");
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(std::regex_match(line, sample) || std::regex_match(line, comment)) << line;
  }
  EXPECT_EQ(text.back(), '\n');
  EXPECT_THAT(text, HasSubstr("initrt_info{model=\"a \\\"model\\\"\\n\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("initrt_load_done_bytes{rank=\"0\"} 5\n"
                              "initrt_load_done_bytes{rank=\"2\"} 7\n"))
      << "of a rank that has said nothing there is no number";
  EXPECT_THAT(text, HasSubstr("\ninitrt_tokens_total 123\n"));
}

TEST(Metrics, ReplaceTheirFileAsAWhole) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.file("initrt.prom");
  std::atomic<bool> running{true};
  std::atomic<int> looks{0};
  {
    MetricsFile file(
        path,
        [&] {
          ++looks;
          Metrics metrics = some();
          metrics.running = running;
          return metrics;
        },
        std::chrono::milliseconds(5));
    while (looks < 3) std::this_thread::yield();
    EXPECT_THAT(testing::contents(path), HasSubstr("initrt_running 1\n"));
    running = false;
    file.finish();
  }
  EXPECT_THAT(testing::contents(path), HasSubstr("initrt_running 0\n"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1)
      << "a collector would read what is left beside it";
}

TEST(Metrics, ThatCannotBeWrittenAreToldAtOnce) {
  EXPECT_THROW(MetricsFile("/nowhere/initrt.prom", some), Error);
}

}  // namespace
}  // namespace initrt
