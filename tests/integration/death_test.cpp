// A rank that dies takes the job with it, wherever it is.
#include <gmock/gmock.h>

#include "tests/integration/worlds.h"
#include "tests/support/small_llama.h"

namespace initrt::testing {
namespace {

using ::testing::Combine;
using ::testing::Values;

/// Where a rank dies, and what moves there.
struct Place {
  std::string name, pause, move;
};

class Death : public WithSmolLM2,
              public ::testing::WithParamInterface<std::tuple<std::string, Place, int>> {};

std::string name_of(const ::testing::TestParamInfo<Death::ParamType>& info) {
  const auto& [communicator, place, rank] = info.param;
  return communicator + "_" + place.name + "_rank" + std::to_string(rank);
}

INSTANTIATE_TEST_SUITE_P(Places, Death,
                         Combine(Values("mapped", "mpi"),
                                 Values(Place{"load", "load:5", "auto"},
                                        Place{"generate", "generate:12", "weights"},
                                        Place{"exchange", "generate:12", "activations"}),
                                 Values(0, 2)),
                         name_of);

TEST_P(Death, OfOneRankEndsTheJob) {
  const auto& [communicator, place, rank] = GetParam();
  Process job(on_ranks(3, {"--set", "model=" + smollm2(), "--set", "generate.prompt=Once upon a",
                           "--set", "sharding.communicator=" + communicator, "--set",
                           "sharding.move=" + place.move}),
              {{"INITRT_TEST_PAUSE", std::to_string(rank) + ":" + place.pause}});
  expect_death_ends(job);
}

// The checkpoint's path is relative, and one rank is elsewhere: it fails between the headers, which
// rank 0 has read for it, and the first sweep.
TEST(BringUp, OfOneRankThatFailsEndsTheJob) {
  const TemporaryDirectory here, elsewhere;
  const SmallLlama small;
  std::filesystem::create_directory(here.file("model"));
  write_safetensors(here.file("model"), small, random_tensors(small, 3), DType::F32, 2);
  for (const char* communicator : {"mapped", "mpi"}) {
    std::vector<std::string> command = {mpirun()};
    for (const TemporaryDirectory* const at : {&here, &elsewhere, &here}) {
      if (command.size() > 1) command.push_back(":");
      const std::vector<std::string> program =
          alone({"score", "--set", "model=model", "--tokens", "1,2,3", "--set",
                 std::string("sharding.communicator=") + communicator});
      command.insert(command.end(), {"-np", "1", "--wdir", at->path()});
      command.insert(command.end(), program.begin(), program.end());
    }
    const Finished finished = run(command, {}, std::chrono::seconds(30));
    EXPECT_FALSE(finished.timed_out);
    EXPECT_NE(finished.exit_code, 0);
    ASSERT_FALSE(finished.own_lines().empty()) << finished.err;
    EXPECT_THAT(finished.own_lines().back(), ::testing::HasSubstr("cannot open")) << finished.err;
    EXPECT_LT(finished.took, std::chrono::seconds(15));
  }
}

}  // namespace
}  // namespace initrt::testing
