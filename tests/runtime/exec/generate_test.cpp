// Generating: a prompt's answer is its own, whatever runs beside it.
#include "runtime/exec/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint32_t kNewTokens = 7;

/// Of lengths from 1 to 13.
std::vector<Prompt> eight_prompts() {
  std::vector<Prompt> prompts;
  for (std::uint32_t index = 0; index < 8; ++index) {
    Prompt prompt{index, {}, kNewTokens};
    const std::uint32_t tokens = index * 5 % 13 + 1;
    for (std::uint32_t i = 0; i < tokens; ++i) {
      prompt.tokens.push_back(static_cast<TokenId>((index * 131 + i * i * 17) % 509));
    }
    prompts.push_back(prompt);
  }
  return prompts;
}

struct Answer {
  std::vector<TokenId> tokens;
  bool ended = false;
  bool operator==(const Answer&) const = default;
};
using Answers = std::map<std::uint32_t, Answer>;  // by prompt

void PrintTo(const Answer& answer, std::ostream* out) {
  for (const TokenId token : answer.tokens) *out << token << ' ';
  *out << (answer.ended ? "end" : "...");
}

struct Way {
  std::uint32_t world = 1;
  Transport transport = Transport::Self;
  std::uint32_t batch = 1, prefill_chunk = 64;
};

std::ostream& operator<<(std::ostream& out, const Way& way) {
  return out << way.world << " ranks, " << name(way.transport) << ", batch " << way.batch
             << ", prefill chunk " << way.prefill_chunk;
}

using Logprobs = std::vector<std::vector<TokenLogprob>>;

/// What a run tells beside the answers.
struct Told {
  std::uint64_t sweeps = 0;
  std::map<std::uint32_t, Logprobs> logprobs;  // by prompt
};

/// Whether an answer ends with its newest token.
using Stop = std::function<bool(const std::vector<TokenId>& answer)>;

/// All ranks' answers. Checks that the hook and the statistics tell the same.
Answers answers_of(const OpenModel& model, const std::vector<Prompt>& prompts, const Way& way,
                   GenerateOptions options = {}, Told* also = nullptr, const Stop& stop = {}) {
  options.prefill_chunk = way.prefill_chunk;
  Setting setting;
  setting.world = way.world;
  setting.transport = way.transport;
  setting.sequences = way.batch;
  setting.logit_rows = way.batch;
  setting.sweep_rows = std::max(way.batch, way.prefill_chunk);
  std::mutex mutex;
  Answers answers;
  const auto failures = run_world(model, setting, [&](std::uint32_t rank, RankModel& instance) {
    Answers told;
    const TokenHook on_token = [&](std::uint32_t prompt, TokenId token, bool end) {
      EXPECT_FALSE(told[prompt].ended) << "a token after the end";
      Answer& answer = told[prompt];
      if (!end) answer.tokens.push_back(token);
      const bool stops = !end && stop && stop(answer.tokens);
      answer.ended = end || stops;
      return stops;
    };
    std::vector<Completion> completions;
    const FinishHook on_finish = [&](std::vector<Completion> finished) {
      for (Completion& completion : finished) completions.push_back(std::move(completion));
    };
    const GenerateStatistics statistics =
        generate(instance.engine(), prompts, way.batch, options, on_token, on_finish);
    Answers mine;
    std::uint64_t tokens = 0;
    for (const Completion& completion : completions) {
      mine[completion.index] = {completion.tokens, completion.ended};
      EXPECT_EQ(completion.logprobs.size(), options.logprobs > 0 ? completion.tokens.size() : 0);
      tokens += completion.tokens.size() + (completion.ended && !stop ? 1 : 0);
    }
    EXPECT_EQ(mine.size(), completions.size()) << "a prompt is answered twice";
    EXPECT_EQ(mine, told);
    EXPECT_EQ(statistics.tokens, tokens);
    EXPECT_EQ(statistics.tokens > 0, statistics.first_token_seconds > 0);
    EXPECT_LT(statistics.decode_tokens, std::max<std::uint64_t>(tokens, 1))
        << "the sweep with the first token is not decoding";
    const std::lock_guard lock(mutex);
    answers.merge(mine);
    if (also == nullptr) return;
    EXPECT_TRUE(also->sweeps == 0 || also->sweeps == statistics.sweeps) << "rank " << rank;
    also->sweeps = statistics.sweeps;
    for (Completion& completion : completions) {
      also->logprobs[completion.index] = std::move(completion.logprobs);
    }
  });
  EXPECT_THAT(failures, Each(IsEmpty())) << way;
  return answers;
}

std::vector<Way> many_ways() {
  return {
      {1, Transport::Self, 1, 64},   {1, Transport::Self, 8, 64},  {1, Transport::Self, 8, 1},
      {1, Transport::Self, 3, 2},    {2, Transport::Mapped, 4, 5}, {2, Transport::Mpi, 1, 64},
      {3, Transport::Mapped, 2, 64}, {3, Transport::Mpi, 8, 3},    {7, Transport::Mpi, 2, 4},
      {11, Transport::Mapped, 1, 3},  // three ranks without a prompt
  };
}

class Generate : public ::testing::TestWithParam<bool> {
 protected:
  const SmallCheckpoint checkpoint_{GetParam() ? tied_llama() : SmallLlama{}};
  const OpenModel model_ = open_checkpoint_as(checkpoint_.directory.path(), "bf16-true");
  const std::vector<Prompt> prompts_ = eight_prompts();

  /// Each prompt in a run of its own.
  [[nodiscard]] Answers alone(const GenerateOptions& options) const {
    Answers answers;
    for (const Prompt& prompt : prompts_) answers.merge(answers_of(model_, {prompt}, {}, options));
    return answers;
  }
};

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

TEST_P(Generate, DrawsTheSameRandomTokensForAPromptOnAnyRank) {
  GenerateOptions options;
  options.sampler = {.temperature = 1.5f, .top_k = 40, .top_p = 0.95f, .seed = 12345};
  const Answers expected = alone(options);
  EXPECT_NE(expected, alone({}));
  for (const Way& way : many_ways()) {
    EXPECT_EQ(answers_of(model_, prompts_, way, options), expected) << way;
  }
  options.sampler.seed = 12346;
  EXPECT_NE(alone(options), expected);
}

TEST_P(Generate, GivesEqualPromptsOfOtherIndexOtherRandomTokens) {
  GenerateOptions options;
  options.sampler = {.temperature = 1.5f, .seed = 1};
  const std::vector<Prompt> twice = {{0, {5, 6, 7}, kNewTokens}, {1, {5, 6, 7}, kNewTokens}};
  const Answers answers = answers_of(model_, twice, {1, Transport::Self, 2, 64}, options);
  EXPECT_NE(answers.at(0), answers.at(1));
  EXPECT_EQ(answers_of(model_, twice, {2, Transport::Mpi, 1, 64}, options), answers);
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

TEST_P(Generate, EndsAnAnswerWhereTheHookSaysSo) {
  const Answers endless = alone({});
  const auto stop = [](const std::vector<TokenId>& answer) { return answer.back() % 3 == 0; };
  Answers expected;
  for (const auto& [prompt, answer] : endless) {
    const auto last = std::find_if(answer.tokens.begin(), answer.tokens.end(),
                                   [](TokenId token) { return token % 3 == 0; });
    expected[prompt] = {answer.tokens, last != answer.tokens.end()};
    if (last != answer.tokens.end())
      expected[prompt].tokens.assign(answer.tokens.begin(), last + 1);
  }
  EXPECT_NE(expected, endless);
  for (const Way& way : many_ways()) {
    EXPECT_EQ(answers_of(model_, prompts_, way, {}, nullptr, stop), expected) << way;
  }
}

TEST_P(Generate, ThePenaltyCountsThePromptAndTheAnswerSoFar) {
  GenerateOptions options;
  options.sampler.repetition_penalty = 1000;
  const Answers expected = alone(options);
  EXPECT_NE(expected, alone({}));
  for (const auto& [index, answer] : expected) {
    std::vector<TokenId> all = answer.tokens;
    for (const TokenId token : prompts_[index].tokens) {
      EXPECT_EQ(std::count(all.begin(), all.end(), token), 0) << "prompt " << index;
    }
    std::sort(all.begin(), all.end());
    EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end()) << "prompt " << index;
  }
  for (const Way& way : many_ways()) {
    EXPECT_EQ(answers_of(model_, prompts_, way, options), expected) << way;
  }
}

TEST_P(Generate, LogprobsAreOfTheModelsOwnDistribution) {
  GenerateOptions options;
  options.logprobs = 3;
  const auto logprobs_of = [&](const Way& way) {
    Told told;
    (void)answers_of(model_, prompts_, way, options, &told);
    return told.logprobs;
  };
  const auto plain = logprobs_of({});
  ASSERT_EQ(plain.size(), 8u);
  for (const auto& [prompt, of_tokens] : plain) {
    for (const std::vector<TokenLogprob>& token : of_tokens) {
      ASSERT_EQ(token.size(), 4u);
      EXPECT_EQ(token[0], token[1]) << "greedy choice is the likeliest";
      EXPECT_LE(token[2].logprob, token[1].logprob);
      EXPECT_LT(token[0].logprob, 0);
    }
  }
  for (const Way& way : many_ways()) EXPECT_EQ(logprobs_of(way), plain) << way;
  // Whatever is drawn from it.
  options.sampler = {.temperature = 2, .top_k = 40, .repetition_penalty = 1.5f, .seed = 1};
  const auto drawn = logprobs_of({});
  for (const auto& [prompt, of_tokens] : drawn) {
    EXPECT_TRUE(
        std::equal(of_tokens[0].begin() + 1, of_tokens[0].end(), plain.at(prompt)[0].begin() + 1))
        << prompt;
  }
}

TEST(NextRanks, AreThoseWithTheMostFreeSlotsAndOfEqualOnesTheFirst) {
  EXPECT_THAT(next_ranks({2, 2, 2}, 5), ElementsAre(0, 1, 2, 0, 1));
  EXPECT_THAT(next_ranks({0, 3, 1}, 9), ElementsAre(1, 1, 1, 2));
  EXPECT_THAT(next_ranks({0, 0}, 9), IsEmpty());
  EXPECT_THAT(next_ranks({1, 1}, 0), IsEmpty());
}

}  // namespace
}  // namespace initrt::testing
