// What results are of, and which differences are errors.
#include "launch/output/answer_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "runtime/storage/local_files.h"
#include "tests/sharding/errors.h"
#include "tests/support/process.h"
#include "tests/support/temporary_directory.h"

namespace initrt {
namespace {

using ::testing::AllOf;
using testing::contents;
using ::testing::EndsWith;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Where and how answers are computed and shown, what they answer (which results begin with), and
// what is compared by its content.
constexpr std::string_view kOtherKeys[] = {"model",
                                           "format",
                                           "tokenizer",
                                           "model_config",
                                           "device",
                                           "threads",
                                           "timeout",
                                           "placement.share_gpu",
                                           "sharding.strategy",
                                           "sharding.move",
                                           "sharding.prefetch",
                                           "sharding.communicator",
                                           "load.staging",
                                           "load.gpu_direct",
                                           "load.strict",
                                           "memory.budget",
                                           "generate.prompt",
                                           "generate.prompts",
                                           "generate.output",
                                           "generate.part",
                                           "generate.messages",
                                           "generate.chat_template",
                                           "generate.context",
                                           "generate.batch",
                                           "generate.prefill_chunk",
                                           "speeds.link",
                                           "speeds.latency",
                                           "speeds.memory",
                                           "speeds.compute"};

TEST(AnswerSettings, EveryKeyOfAJobDecidesAnswersOrIsKnownNotTo) {
  for (const JobKey& key : job_keys()) {
    const bool decides = std::ranges::find(kAnswerKeys, key.path) != kAnswerKeys.end();
    const bool other = std::ranges::find(kOtherKeys, key.path) != std::end(kOtherKeys);
    EXPECT_NE(decides, other) << key.path;
  }
  EXPECT_EQ(std::size(kAnswerKeys) + std::size(kOtherKeys), job_keys().size());
}

class ResultsOf : public ::testing::Test {
 protected:
  static Job job(const std::vector<std::string>& settings) {
    LocalFiles files;
    std::vector<std::string> all = {"model=/a/model"};
    all.insert(all.end(), settings.begin(), settings.end());
    return read_job(files, "", all);
  }
  static std::vector<PromptText> prompts_of(const Job& job, int count) {
    std::vector<PromptText> prompts;
    for (int i = 0; i < count; ++i) prompts.push_back(prompt_of_job(job, std::to_string(i)));
    return prompts;
  }
  // What going on is refused with, after a run by `before`; "" where it is not.
  std::string refusal(const std::vector<std::string>& before, const std::vector<std::string>& now) {
    const Job old = job(before), job_now = job(now);
    write_settings(output_, settings_of(old, prompts_of(old, 3)));
    return refusal_of(job_now, prompts_of(job_now, 3));
  }
  std::string refusal_of(const Job& job_now, const std::vector<PromptText>& prompts) {
    try {
      refuse_others(output_, *read_settings(files_, output_), settings_of(job_now, prompts),
                    prompts);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  const testing::TemporaryDirectory directory_;
  const std::string output_ = directory_.file("out.jsonl");
  LocalFiles files_;
};

TEST_F(ResultsOf, TheSameSettingsAreGoneOnFrom) {
  const std::vector<std::string> all = {"generate.temperature=0.8",
                                        "generate.top_p=0.1",
                                        "generate.seed=18446744073709551615",
                                        R"(generate.stop=["a","b"])",
                                        "quantize=nf4",
                                        R"(generate.tools=[{"type":"function"}])"};
  EXPECT_EQ(refusal(all, all), "");
}

TEST_F(ResultsOf, AnotherPlaceToComputeAreGoneOnFrom) {
  EXPECT_EQ(refusal({}, {"threads=2", "device=cpu", "sharding.move=weights", "generate.batch=3",
                         "load.staging=1MiB", "timeout=5"}),
            "");
}

TEST_F(ResultsOf, OtherSettingsAreAnErrorThatNamesThem) {
  EXPECT_EQ(
      refusal({"generate.temperature=0.8"}, {"generate.temperature=0.7", "precision=32-true"}),
      output_ +
          ": its results are of other settings: precision was \"bf16-true\" and is "
          "\"32-true\", generate.temperature was 0.8 and is 0.7; set them as they were, name "
          "another generate.output, or remove " +
          output_ + ".settings to go on all the same");
}

TEST_F(ResultsOf, MorePromptsAreGoneOnFromAndFewerToo) {
  const Job same = job({});
  write_settings(output_, settings_of(same, prompts_of(same, 3)));
  EXPECT_EQ(refusal_of(same, prompts_of(same, 5)), "");
  EXPECT_EQ(refusal_of(same, prompts_of(same, 2)), "");
}

TEST_F(ResultsOf, PromptsWithOtherSettingsOfTheirOwnAreAnError) {
  const Job same = job({});
  std::vector<PromptText> prompts = prompts_of(same, 3);
  write_settings(output_, settings_of(same, prompts));
  const std::string error = "settings or tools that single prompts have are others";
  prompts[1].sampler.temperature = 1;
  EXPECT_THAT(refusal_of(same, prompts), HasSubstr(error));
  prompts = prompts_of(same, 3);
  prompts[2].max_new_tokens = 7;
  EXPECT_THAT(refusal_of(same, prompts), HasSubstr(error));
  prompts = prompts_of(same, 3);
  prompts[0].conversation.tools = {{{"type", "function"}}};
  EXPECT_THAT(refusal_of(same, prompts), HasSubstr(error));
}

TEST_F(ResultsOf, WhatAnEarlierVersionDidNotKnowIsNotCompared) {
  std::ofstream(output_ + ".settings") << R"({"generate.seed": 5, "generate.later_key": 1})";
  EXPECT_EQ(refusal_of(job({"generate.seed=5"}), {}), "");
  EXPECT_THAT(refusal_of(job({"generate.seed=6"}), {}), HasSubstr("generate.seed was 5 and is 6"));
}

TEST_F(ResultsOf, AModelThatIsAnotherIsNamedByItsPathsWhereTheseDiffer) {
  const AnswerSettings before = {{"model", "/a"}, {"weights", "1"}, {"tokenizer", "2"}};
  const auto refusal_to = [&](const AnswerSettings& now) {
    return error_of([&] { refuse_others(output_, before, now, {}); });
  };
  EXPECT_THAT(refusal_to({{"model", "/b"}, {"weights", "3"}, {"tokenizer", "2"}}),
              HasSubstr(R"(the model's weights are others (model was "/a" and is "/b"); set)"));
  EXPECT_THAT(refusal_to({{"model", "/a"}, {"weights", "1"}, {"tokenizer", "3"}}),
              HasSubstr(": the tokenizer is another; set"));
  EXPECT_NO_THROW(refuse_others(output_, before, {{"model", "/b"}, {"weights", "1"}}, {}))
      << "a copy of it";
}

TEST_F(ResultsOf, AFileThatIsNoSettingsIsAnErrorAndNoneIsNone) {
  EXPECT_EQ(read_settings(files_, output_), std::nullopt);
  std::ofstream(output_ + ".settings") << "[1]";
  EXPECT_EQ(error_of([&] { (void)read_settings(files_, output_); }),
            output_ + ".settings: expected a JSON object");
}

}  // namespace
}  // namespace initrt
