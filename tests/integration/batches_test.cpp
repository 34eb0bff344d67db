// Files of prompts, and files of results that a restart goes on from.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/integration/worlds.h"

namespace initrt::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class Batch : public WithSmolLM2 {
 protected:
  // Short and long in turn, so that some are done long before those in front of them.
  Batch() {
    std::ofstream file(prompts_);
    for (int i = 0; i < kPrompts; ++i) {
      if (i == 3) {
        file << "no prompt\n";
        continue;
      }
      file << nlohmann::json{{"id", i},
                             {"prompt", "Number " + std::to_string(i) + " is"},
                             {"max_new_tokens", i % 2 == 0 ? 40 : 4},
                             {"temperature", i % 3},
                             {"seed", i}}
           << "\n";
    }
  }

  [[nodiscard]] std::vector<std::string> job(const std::vector<std::string>& settings) const {
    std::vector<std::string> arguments;
    for (const std::string& setting :
         {"model=" + smollm2(), "generate.prompts=" + prompts_,
          std::string("generate.ignore_eos=true"), std::string("generate.batch=1")}) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    for (const std::string& setting : settings)
      arguments.insert(arguments.end(), {"--set", setting});
    return arguments;
  }
  [[nodiscard]] std::vector<std::string> into(const std::string& file) const {
    return job({"generate.output=" + file});
  }

  // Until there are more results than these, in order or ahead of it.
  static void wait_for_results(const std::string& file, std::size_t in_order, std::size_t ahead) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (std::chrono::steady_clock::now() < end) {
      if (contents(file).size() > in_order || contents(file + ".ahead").size() > ahead) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    FAIL() << "no result came";
  }

  static constexpr int kPrompts = 12;
  const TemporaryDirectory directory_;
  const std::string prompts_ = directory_.file("prompts.jsonl"),
                    output_ = directory_.file("results.jsonl");
};

TEST_F(Batch, StoppedOrKilledGoesOnWithNoPromptLostOrDoneTwice) {
  const std::string expected = run(alone(job({}))).out;
  ASSERT_EQ(lines_of(expected).size(), kPrompts);
  {
    Process stopped(on_ranks(2, into(output_)));
    ASSERT_NO_FATAL_FAILURE(wait_for_results(output_, 0, 0));
    stopped.send(SIGUSR1);  // mpirun tells all ranks
    const Finished finished = stopped.wait(std::chrono::seconds(30));
    EXPECT_EQ(finished.exit_code, 75) << finished.err;
    EXPECT_THAT(finished.own_lines().back(),
                AllOf(HasSubstr("note: stopped by SIGUSR1: "), HasSubstr("of 12 results are in")));
  }
  const std::string after_stop = contents(output_), kept = contents(output_ + ".ahead");
  EXPECT_LT(after_stop.size(), expected.size());
  {
    Process killed(alone(into(output_)));
    ASSERT_NO_FATAL_FAILURE(wait_for_results(output_, after_stop.size(), kept.size()));
    killed.send(SIGKILL);
    EXPECT_EQ(killed.wait(std::chrono::seconds(30)).exit_code, 137);
  }
  const std::size_t had = lines_of(contents(output_)).size() + lines_of(kept).size();
  EXPECT_GT(had, 1u);
  const TemporaryDirectory reports;
  std::vector<std::string> last = into(output_);
  last.insert(last.end(), {"--report", reports.file("report.json")});
  const Finished finished = run(on_ranks(3, last));
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(contents(output_), expected);
  EXPECT_FALSE(std::filesystem::exists(output_ + ".ahead"));
  const auto report = nlohmann::json::parse(contents(reports.file("report.json")));
  EXPECT_LT(report.at("generate").at("tokens").get<int>(), 6 * 40 + 5 * 4)
      << "all of them were computed again";

  const Finished again = run(alone(into(output_)));
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.err, AllOf(HasSubstr("nothing is left to run: 12 of 12 results are in"),
                               Not(HasSubstr("loading"))));
}

TEST_F(Batch, PartsOfItTogetherAreTheWhole) {
  std::string together;
  for (const char* part : {"0/2", "1/2"}) {
    const Finished finished = run(alone(job({std::string("generate.part=") + part})));
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    together += finished.out;
  }
  EXPECT_EQ(together, run(alone(job({}))).out);
}

TEST_F(Batch, ALineThatIsNoPromptStopsNothing) {
  const Finished finished = run(alone(job({})));
  EXPECT_EQ(finished.exit_code, 0);
  const auto lines = lines_of(finished.out);
  ASSERT_EQ(lines.size(), kPrompts);
  EXPECT_THAT(lines[3],
              StartsWith(R"({"line":4,"error":")" + prompts_ + ": line 4: not valid JSON"));
  EXPECT_EQ(nlohmann::json::parse(lines[4]).at("id"), 4);
  EXPECT_EQ(nlohmann::json::parse(lines[4]).at("tokens").size(), 40u);
  EXPECT_THAT(finished.err, HasSubstr("1 of 12 prompts could not be run"));
}

TEST_F(Batch, ResultsOfOtherPromptsAreNotTouched) {
  std::ofstream(output_) << "{\"prompt\":\"mine\"}\n";
  for (const int ranks : {0, 2}) {
    const Finished finished =
        run(ranks == 0 ? alone(into(output_)) : on_ranks(ranks, into(output_)));
    EXPECT_EQ(finished.exit_code, 1);
    EXPECT_THAT(finished.own_lines(),
                ::testing::ElementsAre(HasSubstr("line 1 is no result of prompt 0")));
  }
  EXPECT_EQ(contents(output_), "{\"prompt\":\"mine\"}\n");
}

TEST_F(Batch, ResultsOfOtherSettingsAreNotGoneOnFrom) {
  const auto with = [&](const std::string& setting, int ranks) {
    const std::vector<std::string> arguments =
        job({"generate.output=" + output_, "generate.part=0/6", setting});
    return run(ranks == 0 ? alone(arguments) : on_ranks(ranks, arguments));
  };
  EXPECT_EQ(with("generate.batch=1", 0).exit_code, 0);
  const std::string results = contents(output_);
  EXPECT_EQ(lines_of(results).size(), 2u);
  // Also where nothing is left to do, which says nothing of what was done.
  const Finished complete = with("generate.top_k=3", 0);
  EXPECT_EQ(complete.exit_code, 1);
  EXPECT_THAT(complete.own_lines(),
              ::testing::ElementsAre(HasSubstr("generate.top_k was 0 and is 3; set them as they")));
  std::ofstream(output_) << results.substr(0, results.find('\n') + 1);
  for (const int ranks : {0, 2}) {
    const Finished finished = with("precision=32-true", ranks);
    EXPECT_EQ(finished.exit_code, 1);
    EXPECT_THAT(finished.own_lines(),
                ::testing::ElementsAre(HasSubstr("precision was \"bf16-true\" and is")));
  }
  std::filesystem::remove(output_ + ".settings");
  const Finished forced = with("generate.top_k=0", 2);
  EXPECT_EQ(forced.exit_code, 0) << forced.err;
  EXPECT_THAT(forced.err, HasSubstr("warning: " + output_ + ": no "));
  EXPECT_EQ(contents(output_), results);
  EXPECT_TRUE(std::filesystem::exists(output_ + ".settings"));
}

// Even where a read does not return: there is nothing to finish.
TEST_F(Batch, StoppedWhileItLoadsEndsAtOnce) {
  for (const int ranks : {1, 2}) {
    Process job(ranks == 1 ? alone(into(output_)) : on_ranks(ranks, into(output_)),
                {{"INITRT_TEST_FAULT", fmt::format("stall@{}:load:7", ranks - 1)}});
    wait_for_fault(job);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));  // all wait for what does not come
    job.send(SIGUSR1);
    const Finished finished = job.wait(std::chrono::seconds(20));
    EXPECT_FALSE(finished.timed_out);
    EXPECT_EQ(finished.exit_code, 75) << finished.err;
    EXPECT_EQ(finished.own_lines().back(), "initrt: note: stopped by SIGUSR1 while loading");
  }
  EXPECT_THAT(contents(output_), IsEmpty());
}

}  // namespace
}  // namespace initrt::testing
