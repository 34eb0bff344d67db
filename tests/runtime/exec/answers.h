// Prompts and their answers in worlds of every kind, for tests of generating.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <ostream>
#include <vector>

#include "runtime/exec/generate.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {

inline constexpr std::uint32_t kNewTokens = 7;

/// Of lengths from 1 to 13.
inline std::vector<Prompt> eight_prompts() {
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

inline void PrintTo(const Answer& answer, std::ostream* out) {
  for (const TokenId token : answer.tokens) *out << token << ' ';
  *out << (answer.ended ? "end" : "...");
}

struct Way {
  std::uint32_t world = 1;
  Transport transport = Transport::Self;
  std::uint32_t batch = 1, prefill_chunk = 64;
  bool on_cpu = false;  ///< as of Setting
};

inline std::ostream& operator<<(std::ostream& out, const Way& way) {
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
inline Answers answers_of(const OpenModel& model, const std::vector<Prompt>& prompts,
                          const Way& way, GenerateOptions options = {}, Told* also = nullptr,
                          const Stop& stop = {}) {
  options.prefill_chunk = way.prefill_chunk;
  Setting setting;
  setting.world = way.world;
  setting.transport = way.transport;
  setting.on_cpu = way.on_cpu;
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
  EXPECT_THAT(failures, ::testing::Each(::testing::IsEmpty())) << way;
  return answers;
}

inline std::vector<Way> many_ways() {
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

}  // namespace initrt::testing
