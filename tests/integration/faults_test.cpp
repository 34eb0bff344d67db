// One table of what fails, where, and what the last line of initrt's own then says. Each ends the
// job on all ranks in seconds, and leaves results that are whole lines, but not all of them.
#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/integration/worlds.h"
#include "tests/support/small_llama.h"
#include "tests/support/source_path.h"

namespace initrt::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

constexpr int kPrompts = 6;

// Beside what a pattern says of the last line.
constexpr const char* kLauncher = "(the launcher's)";
constexpr const char* kNoFailure = "(all answers, as without it)";

/// A line of the table.
struct Case {
  std::string name;
  std::string fault;      ///< INITRT_TEST_FAULT
  int ranks = 2;          ///< 0: alone
  std::string last_line;  ///< a pattern of it, after "initrt: "; or one of the above
  std::vector<std::string> settings = {};
};

void PrintTo(const Case& one, std::ostream* out) { *out << one.fault; }

const std::string kMpi = "sharding.communicator=mpi", kWeights = "sharding.move=weights",
                  kRows = "sharding.move=activations", kSoon = "timeout=1";
const std::string kStalled = "error: no rank has made progress for 1 s \\(key \"timeout\"\\): ";

std::vector<Case> table() {
  return {
      {"KilledAtStart", "killed@1:start:0", 2, kLauncher},
      {"KilledReadingHeaders", "killed@0:headers:2", 2, kLauncher},
      {"KilledWaitingForHeaders", "killed@1:headers:0", 2, kLauncher},
      {"KilledAtPlan", "killed@1:plan:0", 2, kLauncher},
      {"KilledLoading", "killed@0:load:2", 3, kLauncher},
      {"KilledLoadingMpi", "killed@1:load:2", 2, kLauncher, {kMpi}},
      {"KilledGathering", "killed@1:gather:3", 2, kLauncher, {kMpi, kWeights}},
      {"KilledExchanging", "killed@1:exchange:2", 2, kLauncher, {kMpi, kRows}},
      {"KilledDecoding", "killed@2:decode:2:3", 3, kLauncher},
      {"KilledDecodingWeights", "killed@0:decode:2:3", 2, kLauncher, {kWeights}},
      {"KilledWriting", "killed@0:writing:1", 2, kLauncher},

      {"EioInHeaders", "eio@0:headers:2", 2,
       "rank 0: error: .*: cannot read at byte .*: Input/output error.*"},
      {"EioLoading", "eio@1:load:2", 3,
       "rank 1: error: .*/model-.*: cannot read at byte .*: Input/output error"},
      {"EioLoadingMpi",
       "eio@0:load:3",
       2,
       "rank 0: error: .*: cannot read at byte .*: Input/output error",
       {kMpi}},
      {"EioLoadingAlone", "eio@0:load:1", 0,
       "error: .*: cannot read at byte .*: Input/output error"},
      {"ShortReadOfHeaders", "short@0:headers:2", 0, kNoFailure},
      {"ShortReadLoading", "short@1:load:2", 2, kNoFailure},

      {"TruncatedReadingHeaders", "truncated@0:headers:2", 2,
       "rank 0: error: .*: truncated while it was read: .*"},
      {"TruncatedAtPlan", "truncated@1:plan:0", 2,
       "rank [01]: error: .*: changed since its header was read: .* bytes then, .* now"},
      // Rank 0 may open the file after that, or read it.
      {"TruncatedLoading", "truncated@1:load:2", 2,
       "rank [01]: error: .*: ((truncated|written) while it was read|changed since its header "
       "was).*"},
      {"ReplacedAtPlan", "replaced@1:plan:0", 2,
       "rank [01]: error: .*: replaced by another file since its header was read, though its size "
       "is .*"},
      {"RewrittenAtPlan", "rewritten@0:plan:0", 2,
       "rank [01]: error: .*: written since its header was read, though its size is the same"},
      // A rank that opens the file later sees it from the header's stamp on.
      {"RewrittenLoading", "rewritten@1:load:2", 2,
       "rank [01]: error: .*: written (while it was read|since its header was read, .*)"},

      {"MemoryThatCannotBeHad", "memory@1:plan:0", 2,
       "rank 1: error: this process has .* of address space and plans .* more, but is limited to "
       ".*"},

      {"FullDisk", "full@0:writing:2", 2,
       "rank 0: error: .*/out.jsonl: cannot be written: File too large"},

      {"StalledReadingHeaders",
       "stall@0:headers:2",
       2,
       kStalled + "rank 0 was starting, .*",
       {kSoon}},
      {"StalledLoading",
       "stall@1:load:2",
       2,
       kStalled + "rank 0 was .*, rank 1 was .*, with .*% loaded",
       {kSoon}},
      {"StalledLoadingAlone",
       "stall@0:load:2",
       0,
       "error: no progress for 1 s \\(key \"timeout\"\\) while .*, with .*% loaded",
       {kSoon}},
      {"StalledExchanging",
       "stall@1:exchange:5",
       2,
       kStalled + ".*rank 1 was running unit .*",
       {kSoon, kMpi, kRows}},
      {"StalledWriting", "stall@0:writing:1", 2, kStalled + "rank 0 was running unit .*", {kSoon}},
  };
}

class FaultTest : public ::testing::Test {
 protected:
  FaultTest() {
    std::filesystem::create_directory(directory_.file("model"));
    write_safetensors(directory_.file("model"), small_, random_tensors(small_, 3), DType::F32, 2);
    std::ofstream prompts(directory_.file("prompts.jsonl"));
    for (int i = 0; i < kPrompts; ++i) prompts << "\"Number " << i << "\"\n";
  }

  [[nodiscard]] std::vector<std::string> job(const std::vector<std::string>& settings,
                                             const std::string& output) const {
    std::vector<std::string> all = {
        "model=" + directory_.file("model"),
        "tokenizer=" + source_path("tests/integration/tokenizer.json"),
        "threads=1",
        "generate.prompts=" + directory_.file("prompts.jsonl"),
        "generate.max_new_tokens=4",
        "generate.batch=2",
        "generate.output=" + output,
    };
    all.insert(all.end(), settings.begin(), settings.end());
    std::vector<std::string> arguments = {"--progress", "off"};
    for (const std::string& setting : all) arguments.insert(arguments.end(), {"--set", setting});
    return arguments;
  }

  // Of a run alone that nothing happens to.
  [[nodiscard]] std::string answers() const {
    const Finished finished = run(alone(job({}, directory_.file("whole.jsonl"))));
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    return contents(directory_.file("whole.jsonl"));
  }

  const SmallLlama small_;
  const TemporaryDirectory directory_;
  const std::string output_ = directory_.file("out.jsonl");
};

class Faults : public FaultTest, public ::testing::WithParamInterface<Case> {};
INSTANTIATE_TEST_SUITE_P(Table, Faults, ::testing::ValuesIn(table()),
                         [](const auto& of) { return of.param.name; });

TEST_P(Faults, EndTheJob) {
  const Case& one = GetParam();
  const std::string all = answers();  // before anything happens to the files
  const std::vector<std::string> arguments = job(one.settings, output_);
  const Finished finished = run(one.ranks == 0 ? alone(arguments) : on_ranks(one.ranks, arguments),
                                {{"INITRT_TEST_FAULT", one.fault}}, 30s);
  ASSERT_FALSE(finished.timed_out) << finished.err;
  EXPECT_LT(finished.took, 15s);
  ASSERT_THAT(finished.err, HasSubstr("test fault: rank ")) << "it has not happened";
  const std::string left = contents(output_);
  if (one.last_line == kNoFailure) {
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    EXPECT_EQ(left, all);
    return;
  }
  EXPECT_NE(finished.exit_code, 0);
  EXPECT_LT(left.size(), all.size());
  EXPECT_THAT(all, StartsWith(left));
  EXPECT_TRUE(left.empty() || left.back() == '\n') << left;
  if (one.last_line == kLauncher) return;
  EXPECT_EQ(finished.exit_code, 1);
  ASSERT_FALSE(finished.own_lines().empty()) << finished.err;
  EXPECT_THAT(finished.own_lines().back(), MatchesRegex("initrt: " + one.last_line));
}

// The variable itself: a job whose test asks for what there is not must not pass.
TEST_F(FaultTest, ThatIsMalformedOrOfNoRankIsAnError) {
  for (const char* fault : {"killed@1", "killed@2:load:1"}) {
    const Finished finished = run(on_ranks(2, job({}, output_)), {{"INITRT_TEST_FAULT", fault}});
    EXPECT_EQ(finished.exit_code, 1);
    EXPECT_THAT(finished.own_lines(), ElementsAre(HasSubstr("INITRT_TEST_FAULT")));
  }
}

// The launcher's form for several programs in one world.
std::vector<std::string> beside_each_other(const std::vector<std::vector<std::string>>& programs,
                                           const std::vector<std::string>& directories) {
  std::vector<std::string> command = {mpirun()};
  for (std::size_t i = 0; i < programs.size(); ++i) {
    if (i > 0) command.emplace_back(":");
    command.insert(command.end(), {"-np", "1", "--wdir", directories[i]});
    command.insert(command.end(), programs[i].begin(), programs[i].end());
  }
  return command;
}

TEST_F(FaultTest, ARankThatIsStartedOtherwiseEndsTheJob) {
  const auto score = [](const std::string& tokens) {
    return alone({"score", "--set", "model=model", "--tokens", tokens});
  };
  const std::string& here = directory_.path();
  const Finished finished = run(
      beside_each_other({score("1,2"), score("1,2"), score("1,3")}, {here, here, here}), {}, 20s);
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.own_lines(),
              ElementsAre(HasSubstr("rank 2 was started with other arguments than rank 0")));
}

// The checkpoint's path is relative, and one rank is elsewhere: it fails between the headers, which
// rank 0 has read for it, and the first sweep.
TEST_F(FaultTest, ARankThatDoesNotFindTheFilesEndsTheJob) {
  const TemporaryDirectory elsewhere;
  const std::string& here = directory_.path();
  for (const char* communicator : {"mapped", "mpi"}) {
    const std::vector<std::string> score =
        alone({"score", "--set", "model=model", "--tokens", "1,2,3", "--set",
               std::string("sharding.communicator=") + communicator});
    const Finished finished =
        run(beside_each_other({score, score, score}, {here, elsewhere.path(), here}), {}, 20s);
    EXPECT_FALSE(finished.timed_out);
    EXPECT_EQ(finished.exit_code, 1);
    ASSERT_FALSE(finished.own_lines().empty()) << finished.err;
    EXPECT_THAT(finished.own_lines().back(),
                MatchesRegex("initrt: rank 1: error: .*: cannot open: .*"));
  }
}

TEST_F(FaultTest, OneSigintEndsTheSweepAndASecondTheProcess) {
  const auto interrupted = [&](const char* fault, bool twice) {
    Process process(alone(job({}, output_)), {{"INITRT_TEST_FAULT", fault}});
    wait_for_fault(process);
    process.send(SIGINT);
    if (twice) {
      std::this_thread::sleep_for(300ms);
      process.send(SIGINT);
    }
    return process.wait(10s);
  };
  const Finished once = interrupted("hold@0:decode:2:3", false);
  EXPECT_EQ(once.exit_code, 130);
  ASSERT_FALSE(once.own_lines().empty()) << once.err;
  EXPECT_THAT(once.own_lines().back(),
              MatchesRegex("initrt: note: stopped by SIGINT: . of 6 results .*"));
  const Finished twice = interrupted("stall@0:decode:2:3", true);
  EXPECT_FALSE(twice.timed_out) << "it heard only the first";
  EXPECT_EQ(twice.exit_code, 128 + SIGINT);
  EXPECT_THAT(twice.err, ::testing::Not(HasSubstr("stopped by")));
}

// What is opened next would else take its number, and get what is meant for it.
TEST_F(FaultTest, OfAStandardOutputThatIsClosedIsToldAndNoFileGetsItsText) {
  const std::string report = directory_.file("report.json");
  std::vector<std::string> command = alone({"score", "--set", "model=" + directory_.file("model"),
                                            "--tokens", "1,2,3", "--report", report});
  command.insert(command.begin(), {"sh", "-c", "exec \"$0\" \"$@\" >&-"});
  const Finished finished = run(command);
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_EQ(finished.own_lines().back(),
            "initrt: error: standard output cannot be written: Bad file descriptor");
  EXPECT_FALSE(std::filesystem::exists(report));
}

}  // namespace
}  // namespace initrt::testing
