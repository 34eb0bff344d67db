// A model brought up in a process of its own, as a program that embeds the libraries does it.
#include "runtime/start/running_rank.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "runtime/exec/generate.h"
#include "runtime/start/on_all_ranks.h"
#include "runtime/start/run_shape.h"
#include "tests/sharding/errors.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A small model, and one prompt for it.
struct Small {
  SmallCheckpoint checkpoint;
  ModelOptions options;
  ShapeOptions shape;
  std::vector<Prompt> prompts = {{0, {5, 1, 7}, 6}};

  Small() {
    options.path = checkpoint.directory.path();
    options.precision = "32-true";
    shape.staging = kMinStagingBytes;
  }

  [[nodiscard]] OpenModel open(World& world) const {
    return prepare_on_all_ranks(world.comm(),
                                [&](Files& files) { return open_model(files, options); });
  }
  [[nodiscard]] RunShape shape_of(const OpenModel& model) const {
    return generate_shape(shape, model.graph, prompts, 1);
  }
};

RankOptions on_cpu() {
  RankOptions options;
  options.machine.device = "cpu";
  return options;
}

// The first answer.
std::vector<TokenId> answer(Engine& engine, const std::vector<Prompt>& prompts) {
  std::vector<TokenId> tokens;
  (void)generate(engine, prompts, 1, {}, {}, [&](const std::vector<Completion>& finished) {
    for (const Completion& completion : finished) tokens = completion.tokens;
  });
  return tokens;
}

TEST(RunningRank, GeneratesWhileItLoadsAndReportsWhatItPlanned) {
  const Small small;
  World world;
  const OpenModel model = small.open(world);
  RankOptions options = on_cpu();
  std::atomic<std::uint32_t> loaded = 0, ran = 0;
  options.on_load = [&](std::uint32_t) { ++loaded; };
  options.on_execute = [&](std::uint32_t) { ++ran; };
  RunningRank rank(world, model, small.shape_of(model), options);
  EXPECT_EQ(loaded, 0u) << "nothing is read before start_loading()";
  rank.start_loading();
  const std::vector<TokenId> tokens = answer(rank.engine(), small.prompts);
  const RankReport report = rank.finish();
  EXPECT_EQ(tokens.size(), 6u);
  EXPECT_GE(loaded, model.graph.units.size());
  EXPECT_GT(ran, 0u);
  EXPECT_EQ(report.payload_bytes, model.bindings.payload_bytes);
  EXPECT_EQ(report.memory_planned, rank.memory().total());
  EXPECT_LE(report.memory_peak, report.memory_planned);

  // As the parts by themselves do.
  Setting setting;
  setting.sweep_rows = setting.logit_rows = 3;
  RankModel other(model, setting, world.comm());
  (void)other.load();
  EXPECT_EQ(answer(other.engine(), small.prompts), tokens);
}

TEST(RunningRank, TellsItsCallerWhatAPersonShouldKnowAndWritesNothing) {
  Small small;
  small.checkpoint.tensors.push_back({"own.weight", 1, 1, true, 0, {1.0f}});
  const TemporaryDirectory directory;
  write_safetensors(directory.path(), small.checkpoint.model, small.checkpoint.tensors, DType::F32,
                    1);
  small.options.path = directory.path();
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  World world;
  const OpenModel model = small.open(world);
  RankOptions options = on_cpu();
  options.machine.threads = 1;
  std::vector<std::string> warnings;
  options.notices.warning = [&](const std::string& text) { warnings.push_back(text); };
  RunningRank rank(world, model, small.shape_of(model), options);
  rank.start_loading();
  (void)rank.finish();
  EXPECT_THAT(::testing::internal::GetCapturedStdout(), IsEmpty());
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), IsEmpty());
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("\"own.weight\"")));
}

TEST(RunningRank, AFailureIsTheCallersToShow) {
  const Small small;
  std::vector<std::string> told;
  WorldOptions world_options;
  world_options.on_failure = [&](const std::string& text) { told.push_back(text); };
  World world(world_options);
  const OpenModel model = small.open(world);
  RankOptions options = on_cpu();
  options.machine.communicator = "nccl";
  ::testing::internal::CaptureStderr();
  EXPECT_THROW(RunningRank(world, model, small.shape_of(model), options), Error);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), IsEmpty());
  EXPECT_THAT(told, ElementsAre(HasSubstr("sharding.communicator is nccl")));
}

TEST(OpenModelOfAProgram, OptionsThatNoJobWouldTakeAreErrors) {
  Small small;
  World world;
  const auto error = [&] { return error_of([&] { (void)small.open(world); }); };
  small.options.precision = "bf16";
  EXPECT_THAT(error(), HasSubstr("precision is \"bf16\", expected"));
  small.options.precision = "32-true";
  small.options.quantize.method = "int4";
  EXPECT_THAT(error(), HasSubstr("quantize.method is \"int4\", expected"));
}

}  // namespace
}  // namespace initrt::testing
