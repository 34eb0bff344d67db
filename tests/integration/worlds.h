// Worlds of the real program: how the integration tests start it, and the real model.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
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

/// Until what INITRT_TEST_FAULT names has happened; half a minute at the most.
inline void wait_for_fault(const Process& job) {
  for (int i = 0; i < 3000; ++i) {
    if (job.err().find("test fault: rank ") != std::string::npos) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  FAIL() << "no fault has happened: " << job.err();
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
