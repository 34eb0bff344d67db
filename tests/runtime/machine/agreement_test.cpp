#include "runtime/machine/agreement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "sharding/error.h"
#include "tests/runtime/comm/thread_ranks.h"

namespace initrt {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What each of three ranks, of which the last is started otherwise, ends with.
std::vector<std::string> failures_of(const std::string& version,
                                     const std::vector<std::string>& arguments) {
  return run_ranks(3, [&](Communicator& comm) {
    const bool last = comm.rank() == 2;
    const std::vector<std::string> usual = {"--set", "a=1"};
    agree_on_start(comm, last ? version : "0.1.0", last ? arguments : usual);
  });
}

TEST(Agreement, IsOfVersionAndArguments) {
  EXPECT_THAT(failures_of("0.1.0", {"--set", "a=1"}), Each(IsEmpty()));
  EXPECT_THAT(failures_of("0.2.0", {"--set", "a=1"}),
              Each(HasSubstr("rank 2 is initrt \"0.2.0\", rank 0 is \"0.1.0\"")));
  for (const std::vector<std::string>& other :
       std::vector<std::vector<std::string>>{{"--set", "a=2"}, {"--seta=1"}, {}}) {
    EXPECT_THAT(failures_of("0.1.0", other),
                Each(HasSubstr("rank 2 was started with other arguments than rank 0")));
  }
}

}  // namespace
}  // namespace initrt
