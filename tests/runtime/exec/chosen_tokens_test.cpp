// How generating chooses tokens and ends answers, on any number of ranks alike.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/runtime/exec/answers.h"

namespace initrt::testing {
namespace {

class ChosenTokens : public Generate {};
INSTANTIATE_TEST_SUITE_P(Tied, ChosenTokens, ::testing::Bool());

TEST_P(ChosenTokens, EndAnAnswerWhereTheHookSaysSo) {
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

TEST_P(ChosenTokens, ArePenalizedForThePromptAndTheAnswerSoFar) {
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

TEST_P(ChosenTokens, HaveLogprobsOfTheModelsOwnDistribution) {
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

TEST_P(ChosenTokens, AreTheSameRandomOnesForAPromptOnAnyRank) {
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

TEST_P(ChosenTokens, AreTheSameWhereverTheyAreChosen) {
  // With logprobs logits come to the host, which then chooses; without, a device may.
  for (const SamplerOptions& sampler :
       {SamplerOptions{}, SamplerOptions{.temperature = 1, .seed = 3},
        SamplerOptions{.temperature = 2, .top_k = 50, .top_p = 0.9f, .min_p = 0.01f}}) {
    GenerateOptions on_host;
    on_host.sampler = sampler;
    GenerateOptions anywhere = on_host;
    on_host.logprobs = 1;
    const Way way{2, Transport::Mapped, 3, 5};
    EXPECT_EQ(answers_of(model_, prompts_, way, anywhere),
              answers_of(model_, prompts_, way, on_host));
  }
}

TEST_P(ChosenTokens, OfEqualPromptsWithOtherIndexAreOtherRandomOnes) {
  GenerateOptions options;
  options.sampler = {.temperature = 1.5f, .seed = 1};
  const std::vector<Prompt> twice = {{0, {5, 6, 7}, kNewTokens}, {1, {5, 6, 7}, kNewTokens}};
  const Answers answers = answers_of(model_, twice, {1, Transport::Self, 2, 64}, options);
  EXPECT_NE(answers.at(0), answers.at(1));
  EXPECT_EQ(answers_of(model_, twice, {2, Transport::Mpi, 1, 64}, options), answers);
}

}  // namespace
}  // namespace initrt::testing
