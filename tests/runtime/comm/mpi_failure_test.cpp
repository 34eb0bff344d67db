// Real mpirun worlds in which a rank fails: one line with the first cause, and nobody hangs.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace initrt {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Ended {
  int status = 0;  ///< as by waitpid
  std::string out, err;
  std::chrono::milliseconds after_failure{0};

  [[nodiscard]] std::vector<std::string> own_lines() const {
    std::vector<std::string> lines;
    std::istringstream text(err);
    for (std::string line; std::getline(text, line);) {
      if (line.rfind("initrt: ", 0) == 0) lines.push_back(line);
    }
    return lines;
  }
};

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Runs the check on so many ranks, and ends it after a minute if it does not end.
Ended run_world(int ranks, const std::string& check, int bad) {
  std::string directory = testing::TempDir() + "initrt-mpi-XXXXXX";
  if (mkdtemp(directory.data()) == nullptr) throw std::runtime_error("mkdtemp");
  const std::string out = directory + "/out", err = directory + "/err";
  const std::string np = std::to_string(ranks), rank = std::to_string(bad);
  const pid_t child = fork();
  if (child == 0) {
    setpgid(0, 0);
    dup2(open(out.c_str(), O_CREAT | O_WRONLY, 0600), STDOUT_FILENO);
    dup2(open(err.c_str(), O_CREAT | O_WRONLY, 0600), STDERR_FILENO);
    // As root, and on fewer cores than ranks.
    for (const char* name : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
                             "OMPI_MCA_rmaps_base_oversubscribe"}) {
      setenv(name, "1", 1);
    }
    setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 1);
    execl(INITRT_MPIRUN, "mpirun", "-np", np.c_str(), INITRT_WORLD_CHECK, check.c_str(),
          rank.c_str(), nullptr);
    _exit(127);
  }
  Ended ended;
  const Clock::time_point start = Clock::now();
  while (waitpid(child, &ended.status, WNOHANG) == 0) {
    if (Clock::now() - start > 60s) kill(-child, SIGKILL);
    std::this_thread::sleep_for(10ms);
  }
  ended.out = contents(out);
  ended.err = contents(err);
  long long failed_at = 0;
  if (std::sscanf(ended.out.c_str(), "failing at %lld ms", &failed_at) == 1) {
    ended.after_failure = std::chrono::duration_cast<std::chrono::milliseconds>(
        Clock::now().time_since_epoch() - std::chrono::milliseconds(failed_at));
    std::printf("ended %lld ms after the failure\n",
                static_cast<long long>(ended.after_failure.count()));
  } else {
    ADD_FAILURE() << "no rank has failed: " << ended.out << ended.err;
  }
  unlink(out.c_str());
  unlink(err.c_str());
  rmdir(directory.c_str());
  return ended;
}

void expect_one_line(const Ended& ended, const std::string& line) {
  EXPECT_TRUE(WIFEXITED(ended.status)) << ended.err;
  EXPECT_NE(WEXITSTATUS(ended.status), 0);
  EXPECT_THAT(ended.own_lines(), testing::ElementsAre("initrt: " + line)) << ended.err;
  EXPECT_THAT(ended.err, testing::Not(testing::HasSubstr("Segmentation")));
}

struct World {
  int ranks, bad;
};
void PrintTo(const World& world, std::ostream* out) {
  *out << "rank " << world.bad << " of " << world.ranks;
}
class MpiWorldWith : public testing::TestWithParam<World> {};
INSTANTIATE_TEST_SUITE_P(ABadRank, MpiWorldWith,
                         testing::Values(World{1, 0}, World{2, 0}, World{2, 1}, World{4, 2}),
                         [](const auto& of) {
                           return std::to_string(of.param.bad) + "Of" +
                                  std::to_string(of.param.ranks);
                         });

TEST_P(MpiWorldWith, AnErrorEndsTheJobWithOneLine) {
  const Ended ended = run_world(GetParam().ranks, "throw", GetParam().bad);
  expect_one_line(ended, "rank " + std::to_string(GetParam().bad) + " cannot read its part");
  EXPECT_LT(ended.after_failure, 5s);
}

TEST_P(MpiWorldWith, AChunkThatNeverArrivesEndsTheJobThoughOthersAreSlow) {
  const Ended ended = run_world(GetParam().ranks, "not-ready", GetParam().bad);
  expect_one_line(ended, "rank " + std::to_string(GetParam().bad) + " finds no such block");
  EXPECT_LT(ended.after_failure, 5s);
}

TEST_P(MpiWorldWith, TheCauseIsToldRatherThanWhatFollowsFromIt) {
  const Ended ended = run_world(GetParam().ranks, "unwind", GetParam().bad);
  expect_one_line(ended, "rank " + std::to_string(GetParam().bad) + " met a wrong token");
  EXPECT_LT(ended.after_failure, 5s);
}

TEST_P(MpiWorldWith, AKilledRankEndsTheJob) {
  for (const char* check : {"kill", "kill-mapped"}) {
    const Ended ended = run_world(GetParam().ranks, check, GetParam().bad);
    EXPECT_TRUE(WIFSIGNALED(ended.status) || WEXITSTATUS(ended.status) != 0) << ended.err;
    EXPECT_LT(ended.after_failure, 10s);
  }
}

TEST(MpiWorld, NoProgressEndsTheJobAndSaysWhereEachRankWas) {
  const Ended ended = run_world(3, "stall", 1);
  expect_one_line(ended,
                  "no rank has made progress for 2 s (key \"timeout\"): rank 0 was running unit 2, "
                  "rank 1 was loading unit 2, rank 2 was loading unit 2");
}

}  // namespace
}  // namespace initrt
