#include "runtime/start/run_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sharding/error.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

/// Of these lengths, to be answered with 10 tokens.
std::vector<Prompt> prompts_of(std::initializer_list<std::size_t> lengths) {
  std::vector<Prompt> prompts;
  for (const std::size_t length : lengths) {
    prompts.push_back(
        {static_cast<std::uint32_t>(prompts.size()), std::vector<TokenId>(length), 10});
  }
  return prompts;
}

Graph graph_with_context(std::uint64_t context) {
  Graph graph;
  graph.context = context;
  return graph;
}

TEST(GenerateShape, IsSizedByTheLongestPromptAndTheBatch) {
  ShapeOptions options;
  options.batch = 2;
  options.prefill_chunk = 16;
  const RunShape shape = generate_shape(options, graph_with_context(100), prompts_of({3, 7, 5}), 1);
  EXPECT_EQ(shape.context, 17u);
  EXPECT_EQ(shape.sequences, 2u);
  EXPECT_EQ(shape.logit_rows, 2u);
  EXPECT_EQ(shape.sweep_rows, 14u);
  EXPECT_EQ(generate_shape(options, graph_with_context(100), prompts_of({3, 7, 5}), 3).sequences,
            1u);
}

TEST(GenerateShape, CountsEachPromptsOwnNewTokens) {
  std::vector<Prompt> prompts = prompts_of({3, 7, 5});
  prompts[2].max_new_tokens = 20;
  EXPECT_EQ(generate_shape({}, graph_with_context(100), prompts, 1).context, 25u);
  EXPECT_EQ(error_of([&] { (void)generate_shape({}, graph_with_context(24), prompts, 1); }),
            "a context of 25 positions (a prompt of 5 tokens and max_new_tokens 20) is beyond the "
            "model's 24");
  ShapeOptions options;
  options.context = 24;
  EXPECT_EQ(error_of([&] { (void)generate_shape(options, graph_with_context(100), prompts, 1); }),
            "prompt 2 has 5 tokens and its max_new_tokens is 20: 25 positions, but "
            "generate.context is 24");
}

TEST(GenerateShape, ContextsThatDoNotFitAreErrors) {
  ShapeOptions options;
  const auto error = [&](std::uint64_t model, std::size_t prompt) {
    return error_of(
        [&] { (void)generate_shape(options, graph_with_context(model), prompts_of({prompt}), 1); });
  };
  EXPECT_THAT(error(16, 7), HasSubstr("a context of 17 positions"));
  EXPECT_EQ(generate_shape(options, graph_with_context(17), prompts_of({7}), 1).context, 17u);
  options.context = 20;
  EXPECT_THAT(error(19, 7), HasSubstr("generate.context"));
  EXPECT_EQ(generate_shape(options, graph_with_context(20), prompts_of({10}), 1).context, 20u);
  EXPECT_THAT(error(100, 11), HasSubstr("prompt 0 has 11 tokens"));
}

TEST(ScoreShape, IsNoLargerThanTheText) {
  ShapeOptions options;
  EXPECT_EQ(score_shape(options, graph_with_context(100), 5).sweep_rows, 5u);
  EXPECT_EQ(score_shape(options, graph_with_context(1000), 500).sweep_rows, 64u);
  EXPECT_THROW((void)score_shape(options, graph_with_context(100), 101), Error);
}

TEST(Shapes, OfOptionsThatNoJobWouldTakeAreErrors) {
  const auto error = [](const ShapeOptions& options) {
    return error_of([&] { (void)score_shape(options, graph_with_context(100), 5); });
  };
  ShapeOptions options;
  options.move = "rows";
  EXPECT_THAT(error(options), HasSubstr("sharding.move is \"rows\", expected"));
  options = {};
  options.batch = 0;
  EXPECT_THAT(error(options), HasSubstr("generate.batch is 0"));
}

}  // namespace
}  // namespace initrt
