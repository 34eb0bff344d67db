// A rank that dies takes the job with it, wherever it is.
#include <gmock/gmock.h>
#include <signal.h>

#include <cstdio>
#include <thread>

#include "tests/integration/worlds.h"

namespace initrt::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::Combine;
using ::testing::Values;

class Death : public WithSmolLM2,
              public ::testing::WithParamInterface<std::tuple<std::string, std::string, int>> {};

std::string name_of(const ::testing::TestParamInfo<Death::ParamType>& info) {
  const auto& [communicator, place, rank] = info.param;
  return communicator + "_" + place.substr(0, place.find(':')) + "_rank" + std::to_string(rank);
}

INSTANTIATE_TEST_SUITE_P(Places, Death,
                         Combine(Values("mapped", "mpi"), Values("load:5", "generate:12"),
                                 Values(0, 2)),
                         name_of);

TEST_P(Death, OfOneRankEndsTheJob) {
  const auto& [communicator, place, rank] = GetParam();
  Process job(on_ranks(3, {"--set", "model=" + smollm2(), "--set", "generate.prompt=Once upon a",
                           "--set", "sharding.communicator=" + communicator}),
              {{"INITRT_TEST_PAUSE", std::to_string(rank) + ":" + place}});
  int process = 0;
  for (int i = 0; i < 6000 && process == 0; ++i) {
    const std::string err = job.err();
    const std::size_t said = err.find("test pause: rank ");
    if (said != std::string::npos && err.find('\n', said) != std::string::npos) {
      std::sscanf(err.c_str() + said, "test pause: rank %*d, process %d", &process);
    }
    std::this_thread::sleep_for(10ms);
  }
  ASSERT_GT(process, 0) << job.err();
  std::this_thread::sleep_for(200ms);  // the others come to wait for it
  ASSERT_EQ(kill(process, SIGKILL), 0);
  const Finished finished = job.wait(10s);
  EXPECT_FALSE(finished.timed_out) << finished.err;
  EXPECT_NE(finished.exit_code, 0);
}

}  // namespace
}  // namespace initrt::testing
