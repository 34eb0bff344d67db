// Generating: a prompt's answer is its own, whatever runs beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>

#include "tests/runtime/exec/answers.h"

namespace initrt::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

INSTANTIATE_TEST_SUITE_P(Tied, Generate, ::testing::Bool());

TEST_P(Generate, GivesAPromptTheSameTokensAloneAndAmongOthers) {
  const Answers expected = alone({});
  ASSERT_EQ(expected.size(), 8u);
  for (const auto& [prompt, answer] : expected) {
    EXPECT_EQ(answer.tokens.size(), kNewTokens);
    EXPECT_FALSE(answer.ended);
  }
  for (const Way& way : many_ways()) EXPECT_EQ(answers_of(model_, prompts_, way), expected) << way;
}

TEST_P(Generate, StopsEachPromptAtItsOwnEndToken) {
  // An end token is whatever some prompts were about to say: early, late, or never.
  const Answers endless = alone({});
  GenerateOptions options;
  options.end_tokens = {endless.at(0).tokens[0], endless.at(3).tokens[4], endless.at(5).tokens[2]};
  Answers expected;
  for (const auto& [prompt, answer] : endless) {
    const auto end = std::find_first_of(answer.tokens.begin(), answer.tokens.end(),
                                        options.end_tokens.begin(), options.end_tokens.end());
    expected[prompt] = {{answer.tokens.begin(), end}, end != answer.tokens.end()};
  }
  EXPECT_TRUE(expected.at(0).ended && expected.at(0).tokens.empty());
  for (const Way& way : many_ways()) {
    EXPECT_EQ(answers_of(model_, prompts_, way, options), expected) << way;
  }
}

TEST_P(Generate, UsesASequenceSlotAgainWithoutATrace) {
  std::vector<Prompt> prompts;
  for (std::uint32_t i = 0; i < 6; ++i) {
    prompts.push_back(
        {i,
         i % 2 == 0 ? std::vector<TokenId>{1, 2, 3, 4, 5, 6, 7, 8, 9} : std::vector<TokenId>{400},
         kNewTokens});
  }
  const Answers answers = answers_of(model_, prompts, {1, Transport::Self, 2, 4});
  for (std::uint32_t i = 2; i < 6; ++i) EXPECT_EQ(answers.at(i), answers.at(i % 2));
}

TEST_P(Generate, OfNoPromptsAtAllEndsAtOnce) {
  EXPECT_TRUE(answers_of(model_, {}, {3, Transport::Mpi, 1, 4}).empty());
}

TEST_P(Generate, OfOneNewTokenRunsTheDecodeOfNone) {
  const Answers expected = alone({});
  std::vector<Prompt> prompts = prompts_;
  for (Prompt& prompt : prompts) prompt.max_new_tokens = 1;
  const Answers answers = answers_of(model_, prompts, {2, Transport::Mpi, 2, 4});
  ASSERT_EQ(answers.size(), 8u);
  for (const auto& [prompt, answer] : answers) {
    EXPECT_EQ(answer.tokens, std::vector<TokenId>{expected.at(prompt).tokens[0]});
  }
}

TEST_P(Generate, GivesEachPromptItsOwnNumberOfTokens) {
  std::vector<Prompt> prompts = prompts_;
  Answers expected = alone({});
  for (Prompt& prompt : prompts) {
    prompt.max_new_tokens = prompt.index * 3 % kNewTokens + 1;
    expected.at(prompt.index).tokens.resize(prompt.max_new_tokens);
  }
  for (const Way& way : many_ways()) EXPECT_EQ(answers_of(model_, prompts, way), expected) << way;
}

TEST_P(Generate, GivesARankThatIsDoneTheNextPrompt) {
  // In turn, the first of two ranks would have all the long ones: 3 * 12 sweeps.
  std::vector<Prompt> prompts;
  for (std::uint32_t i = 0; i < 6; ++i) prompts.push_back({i, {5, 6}, i % 2 == 0 ? 12u : 2u});
  Told one, two;
  const Answers expected = answers_of(model_, prompts, {1, Transport::Self, 1, 64}, {}, &one);
  EXPECT_EQ(one.sweeps, 3u * 12 + 3 * 2);
  EXPECT_EQ(answers_of(model_, prompts, {2, Transport::Mapped, 1, 64}, {}, &two), expected);
  EXPECT_EQ(two.sweeps, 12u + 2 + 12) << "the second rank takes 12 after 2, both 2 and 12 at 14";
}

TEST(NextRanks, AreThoseWithTheMostFreeSlotsAndOfEqualOnesTheFirst) {
  const auto ranks_of = [](std::vector<std::uint32_t> free_slots, std::size_t prompts) {
    std::vector<std::uint32_t> ranks = {7};
    next_ranks(free_slots, prompts, ranks);
    return ranks;
  };
  EXPECT_THAT(ranks_of({2, 2, 2}, 5), ElementsAre(0, 1, 2, 0, 1));
  EXPECT_THAT(ranks_of({0, 3, 1}, 9), ElementsAre(1, 1, 1, 2));
  EXPECT_THAT(ranks_of({0, 0}, 9), IsEmpty());
  EXPECT_THAT(ranks_of({1, 1}, 0), IsEmpty());
}

TEST(LongestFirst, SortsInWindowsAndKeepsEquals) {
  std::vector<Prompt> prompts;
  for (const std::uint32_t length : {1, 5, 1, 3, 2, 9, 9}) {
    prompts.push_back(
        {static_cast<std::uint32_t>(prompts.size()), std::vector<TokenId>(2), length});
  }
  std::vector<std::uint32_t> order;
  for (const Prompt& prompt : longest_first(prompts, 4)) order.push_back(prompt.index);
  EXPECT_THAT(order, ElementsAre(1, 3, 0, 2, 5, 6, 4));
}

TEST_P(Generate, DoesNotDependOnTheOrderOfWork) {
  const Way way{3, Transport::Mapped, 2, 64};
  std::vector<Prompt> turned = prompts_;
  std::ranges::reverse(turned);
  EXPECT_EQ(answers_of(model_, turned, way), answers_of(model_, prompts_, way));
}

TEST_P(Generate, ChoosesEachPromptsTokensInItsOwnWay) {
  std::vector<Prompt> prompts = prompts_;
  Answers expected;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    SamplerOptions& own = prompts[i].sampler.emplace();
    if (i % 2 == 1) own.temperature = 2.0F;
    own.seed = i;
    own.repetition_penalty = i % 3 == 0 ? 1.5F : 1.0F;
    GenerateOptions options;
    options.sampler = own;
    expected.merge(answers_of(model_, {prompts_[i]}, {}, options));
  }
  EXPECT_NE(expected, alone({})) << "the same as greedy: the test would show nothing";
  for (const Way& way : {Way{1, Transport::Self, 8, 64}, Way{3, Transport::Mpi, 2, 4}}) {
    EXPECT_EQ(answers_of(model_, prompts, way), expected) << way;
  }
}

TEST_P(Generate, AskedToStopHandsOverWhatIsDoneAndNothingElse) {
  std::vector<Prompt> prompts = prompts_;
  for (std::size_t i = 0; i < prompts.size(); ++i) prompts[i].max_new_tokens = i % 2 == 0 ? 1 : 50;
  std::atomic<int> asked{0};
  GenerateOptions options;
  options.prefill_chunk = 64;
  Setting setting;
  setting.world = 3;
  setting.transport = Transport::Mpi;
  setting.sequences = setting.logit_rows = 2;
  setting.sweep_rows = 64;
  setting.context = 64;
  std::mutex mutex;
  std::vector<std::uint32_t> done;
  const auto failures = run_world(model_, setting, [&](std::uint32_t rank, RankModel& instance) {
    GenerateOptions own = options;
    // One rank alone hears of it, before its third sweep.
    if (rank == 1) own.stop_asked = [&] { return ++asked == 3 ? 12u : 0u; };
    const GenerateStatistics statistics = generate(instance.engine(), prompts, 2, own, {},
                                                   [&](const std::vector<Completion>& finished) {
                                                     const std::lock_guard lock(mutex);
                                                     for (const Completion& one : finished)
                                                       done.push_back(one.index);
                                                   });
    EXPECT_EQ(statistics.stopped, 12u) << "rank " << rank;
    EXPECT_EQ(statistics.sweeps, 3u) << "the sweep that all heard of it in is the last";
  });
  EXPECT_THAT(failures, ::testing::Each(::testing::IsEmpty()));
  std::ranges::sort(done);
  EXPECT_THAT(done, ElementsAre(0, 2, 4, 6));
}

}  // namespace
}  // namespace initrt::testing
