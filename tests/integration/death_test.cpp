// A rank that dies takes the job with it, wherever it is.
#include <gmock/gmock.h>

#include "tests/integration/worlds.h"

namespace initrt::testing {
namespace {

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
  expect_death_ends(job);
}

}  // namespace
}  // namespace initrt::testing
