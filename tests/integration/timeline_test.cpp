// --timeline: a trace of all ranks.
#include <gmock/gmock.h>

#include "tests/integration/traces.h"
#include "tests/integration/worlds.h"
#include "tests/support/small_llama.h"
#include "tests/support/source_path.h"

namespace initrt::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kTokenizer = source_path("tests/integration/tokenizer.json");

class TimelineOption : public ::testing::Test {
 protected:
  TimelineOption() { write_safetensors(model_, small_, random_tensors(small_, 3), DType::F32, 2); }

  [[nodiscard]] std::vector<std::string> score(const std::string& communicator,
                                               const std::string& move,
                                               const std::string& path) const {
    return {"score",
            "--set",
            "model=" + model_,
            "--set",
            "sharding.communicator=" + communicator,
            "--set",
            "sharding.move=" + move,
            "--tokens",
            "1,2,3",
            "--timeline",
            path};
  }

  const SmallLlama small_;
  const TemporaryDirectory directory_, model_directory_;
  const std::string& model_ = model_directory_.path();
  const std::string path_ = directory_.file("trace.json");
};

TEST_F(TimelineOption, WritesWhatEveryRankDid) {
  const std::set<std::string> always = {"read", "convert", "execute"};
  for (const std::string communicator : {"mpi", "mapped"}) {
    for (const std::string move : {"weights", "activations"}) {
      const Finished finished = run(on_ranks(2, score(communicator, move, path_)));
      ASSERT_EQ(finished.exit_code, 0) << finished.err;
      for (const int rank : {0, 1}) {
        std::set<std::string> expected = always;
        if (move == "activations") {
          expected.insert("exchange");
        } else if (communicator == "mpi") {
          expected.insert("gather");
        }
        const std::set<std::string> lanes = lanes_of(path_, rank);
        EXPECT_THAT(lanes, ::testing::IsSupersetOf(expected)) << communicator << ", " << move;
        // Norms' weights are gathered, once.
        if (communicator == "mapped" || move == "weights") {
          EXPECT_EQ(lanes, expected) << communicator << ", " << move;
        }
      }
      EXPECT_TRUE(lanes_of(path_, 2).empty());
      std::filesystem::remove(path_);
    }
  }
}

TEST_F(TimelineOption, IsOfTheMainJobToo) {
  const Finished finished = run(on_ranks(
      2, {"--set", "model=" + model_, "--set", "tokenizer=" + kTokenizer, "--set",
          "generate.prompt=Hello", "--set", "generate.max_new_tokens=3", "--timeline", path_}));
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  for (const int rank : {0, 1}) {
    EXPECT_EQ(lanes_of(path_, rank),
              (std::set<std::string>{"read", "convert", "exchange", "execute"}));
  }
}

TEST_F(TimelineOption, SaysAtOnceWhereItCannotBeWritten) {
  const Finished finished = run(on_ranks(2, score("auto", "auto", "/nowhere/trace.json")));
  EXPECT_NE(finished.exit_code, 0);
  EXPECT_EQ(finished.out, "");
  EXPECT_THAT(finished.own_lines(), ElementsAre(HasSubstr("/nowhere/trace.json")));
}

}  // namespace
}  // namespace initrt::testing
