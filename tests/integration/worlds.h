// Worlds of the real program: how the integration tests start it, and the real model.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/program.h"
#include "tests/support/process.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_directory.h"

namespace initrt::testing {

/// initrt by itself, without a launcher.
inline std::vector<std::string> alone(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), program());
  return arguments;
}

/// mpirun -np `ranks` initrt ...
inline std::vector<std::string> on_ranks(int ranks, const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {mpirun(), "-np", std::to_string(ranks)};
  const std::vector<std::string> program = alone(arguments);
  command.insert(command.end(), program.begin(), program.end());
  return command;
}

/// Kills the rank that INITRT_TEST_PAUSE holds, once it is held and the others have come to wait
/// for it: the job must end in seconds, as one that has failed.
inline void expect_death_ends(Process& job) {
  using namespace std::chrono_literals;
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

/// SmolLM2-135M-Instruct as GGUF in $INITRT_MODELS, else in models/ of the sources.
inline std::string smollm2() {
  const char* const models = std::getenv("INITRT_MODELS");
  const std::string directory = models != nullptr ? models : source_path("models");
  return directory + "/SmolLM2-135M-Instruct.Q4_1.gguf";
}

/// A test that needs the real model. It is skipped where there is none, unless INITRT_MODELS says
/// that there is one.
class WithSmolLM2 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::filesystem::exists(smollm2())) return;
    if (std::getenv("INITRT_MODELS") != nullptr) FAIL() << smollm2() << " is missing";
    GTEST_SKIP() << smollm2() << " is missing; launch/quickstart.sh fetches it";
  }
};

}  // namespace initrt::testing
