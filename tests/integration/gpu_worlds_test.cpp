// Real mpirun worlds of the real program on GPUs that the CUDA emulator stands for, a process each.
#include <gmock/gmock.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/integration/traces.h"
#include "tests/integration/worlds.h"
#include "tests/support/small_llama.h"

namespace initrt::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

using Settings = std::vector<std::string>;

class GpuWorlds : public ::testing::Test {
 protected:
  GpuWorlds() {
    write_safetensors(directory_.path(), model_, random_tensors(model_, 3), DType::F32, 3);
  }

  [[nodiscard]] std::vector<std::string> scoring(const Settings& settings) const {
    std::vector<std::string> arguments = {
        "score", "--tokens", "5,17,300,2,99,45,8,8,120,77,501,0", "--logits", npy_, "--report",
        report_, "--set",    "model=" + directory_.path()};
    for (const std::string& setting : settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    return arguments;
  }

  [[nodiscard]] Finished score(int ranks, int gpus, const Settings& settings,
                               Environment environment = {}) const {
    std::filesystem::remove(npy_);
    std::filesystem::remove(report_);
    const auto arguments = scoring(settings);
    environment.emplace("CUDA_EMULATOR_DEVICES", std::to_string(gpus));
    return run(ranks == 0 ? alone(arguments) : on_ranks(ranks, arguments), environment, 120s);
  }

  /// All logits, as bytes.
  [[nodiscard]] std::string logits(int ranks, int gpus, const Settings& settings) const {
    const Finished finished = score(ranks, gpus, settings);
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    EXPECT_THAT(finished.err, Not(HasSubstr("planned were"))) << "memory is not what the plan said";
    return contents(npy_);
  }

  void expect_line(int ranks, int gpus, const Settings& settings,
                   const ::testing::Matcher<std::string>& line,
                   const Environment& environment = {}) const {
    const Finished finished = score(ranks, gpus, settings, environment);
    EXPECT_NE(finished.exit_code, 0);
    EXPECT_EQ(finished.out, "");
    EXPECT_THAT(finished.own_lines(), ElementsAre(line)) << finished.err;
  }

  const SmallLlama model_;
  const TemporaryDirectory directory_;
  const std::string npy_ = directory_.file("logits.npy"), report_ = directory_.file("report.json");
};

TEST_F(GpuWorlds, HaveTheSameLogitsWhateverTheRanksAndTheCommunicator) {
  for (const char* precision : {"precision=32-true", "precision=bf16-true"}) {
    const std::string alone = logits(0, 1, {precision, "device=cuda"});
    EXPECT_EQ(alone.size(), 128 + 12 * 509 * sizeof(float));
    EXPECT_EQ(logits(1, 1, {precision, "device=cuda", "sharding.communicator=nccl"}), alone);
    for (const int ranks : {2, 3}) {
      for (const char* communicator : {"auto", "mpi"}) {
        EXPECT_EQ(
            logits(ranks, ranks,
                   {precision, "device=cuda", std::string("sharding.communicator=") + communicator,
                    "generate.prefill_chunk=5", "load.staging=64KiB"}),
            alone)
            << precision << ", " << ranks << " ranks, " << communicator;
      }
    }
  }
}

TEST_F(GpuWorlds, AgreeWithTheCpu) {
  const std::string gpu = logits(2, 2, {"precision=32-true", "device=cuda"});
  const std::string cpu = logits(0, 0, {"precision=32-true", "device=cpu"});
  ASSERT_EQ(gpu.size(), cpu.size());
  for (std::size_t at = 128; at < cpu.size(); at += sizeof(float)) {
    float a = 0, b = 0;
    std::memcpy(&a, gpu.data() + at, sizeof a);
    std::memcpy(&b, cpu.data() + at, sizeof b);
    ASSERT_NEAR(a, b, 1e-3f);
  }
}

TEST_F(GpuWorlds, AreOnGpusByThemselvesWhereThereAreAny) {
  EXPECT_EQ(score(2, 2, {}).exit_code, 0);
  const auto on_gpus = nlohmann::json::parse(contents(report_));
  EXPECT_EQ(on_gpus.at("communicator"), "nccl");
  EXPECT_THAT(on_gpus.at("device").get<std::string>(), HasSubstr("cuda"));
  const auto& memory = on_gpus.at("memory");
  const auto& plan = memory.at("plan");
  std::uint64_t planned = 0;
  for (const auto& [category, bytes] : plan.items()) {
    if (category != "staging" && category != "pinned") planned += bytes.get<std::uint64_t>();
  }
  // The blocks that are converted from have been given back by the end.
  EXPECT_EQ(memory.at("gpu").at("ledger").at("max"),
            planned - plan.at("conversion").get<std::uint64_t>());
  EXPECT_EQ(score(2, 0, {}).exit_code, 0);
  EXPECT_THAT(nlohmann::json::parse(contents(report_)).at("device").get<std::string>(),
              HasSubstr("cpu"));
}

TEST_F(GpuWorlds, NeverShareAGpuUnasked) {
  expect_line(2, 1, {"device=cuda"},
              AllOf(HasSubstr("ranks 0 and 1"), HasSubstr("one GPU"), HasSubstr("share_gpu")));
  const std::string alone = logits(0, 1, {"device=cuda"});
  EXPECT_EQ(logits(2, 1, {"device=cuda", "placement.share_gpu=true"}), alone);
  EXPECT_EQ(nlohmann::json::parse(contents(report_)).at("communicator"), "mpi");
  const Finished by_nccl =
      score(2, 1, {"device=cuda", "placement.share_gpu=true", "sharding.communicator=nccl"},
            {{"NCCL_MULTI_RANK_GPU_ENABLE", "1"}});
  EXPECT_EQ(by_nccl.exit_code, 0) << by_nccl.err;
  EXPECT_EQ(contents(npy_), alone);
}

TEST_F(GpuWorlds, ShareAGpusMemoryOrSayThatItIsNotEnough) {
  const Settings shared = {"device=cuda", "placement.share_gpu=true"};
  EXPECT_EQ(score(2, 1, shared).exit_code, 0);
  const auto gpu = nlohmann::json::parse(contents(report_)).at("memory").at("gpu");
  const auto held = gpu.at("ledger").at("max").get<std::uint64_t>();
  expect_line(2, 1, shared, HasSubstr("rank 0 and 1 more on its GPU plan"),
              {{"CUDA_EMULATOR_MEMORY", std::to_string(held * 3 / 2)}});
}

TEST_F(GpuWorlds, SayWhatIsMissing) {
  expect_line(2, 0, {"device=cuda"}, AllOf(HasSubstr("rank 0"), HasSubstr("sees no GPU")));
  expect_line(2, 2, {"device=cuda", "sharding.communicator=mapped"},
              HasSubstr("mapped, which is for host memory"));
  expect_line(2, 2, {"device=cpu", "sharding.communicator=nccl"},
              HasSubstr("nccl, which is for GPUs"));
}

TEST_F(GpuWorlds, SayWhatEveryRankDidWhen) {
  const std::string path = directory_.file("trace.json");
  using Way = std::pair<std::string, std::string>;
  for (const auto& [communicator, move] : {Way{"nccl", "weights"}, Way{"mpi", "weights"},
                                           Way{"nccl", "activations"}, Way{"mpi", "activations"}}) {
    std::vector<std::string> arguments =
        scoring({"device=cuda", "sharding.communicator=" + communicator, "sharding.move=" + move});
    arguments.insert(arguments.end(), {"--timeline", path});
    const Finished finished = run(on_ranks(2, arguments), {{"CUDA_EMULATOR_DEVICES", "2"}}, 120s);
    ASSERT_EQ(finished.exit_code, 0) << finished.err;
    for (const int rank : {0, 1}) {
      EXPECT_EQ(lanes_of(path, rank),
                (std::set<std::string>{"read", "copy", "convert",
                                       move == "weights" ? "gather" : "exchange", "execute"}))
          << communicator << ", " << move;
    }
    std::filesystem::remove(path);
  }
}

TEST_F(GpuWorlds, EndWhenARankDies) {
  const Finished finished =
      score(3, 3, {"device=cuda"}, {{"INITRT_TEST_FAULT", "killed@2:load:2"}});
  EXPECT_THAT(finished.err, HasSubstr("test fault: rank 2"));
  EXPECT_FALSE(finished.timed_out);
  EXPECT_NE(finished.exit_code, 0);
  EXPECT_LT(finished.took, 20s);
}

}  // namespace
}  // namespace initrt::testing
