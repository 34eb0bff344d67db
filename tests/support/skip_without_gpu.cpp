// Part of tests for real GPUs: where there is none they are skipped, visibly.
#include <gtest/gtest.h>

#include <cstdio>

#include "runtime/device/cuda/gpus.h"

namespace initrt::testing {
namespace {

class SkipWithoutGpu final : public ::testing::Environment {
 public:
  void SetUp() override {
    if (!cuda::visible_gpus().empty()) return;
    // CTest looks for these words, which GoogleTest writes of a test but not of an environment.
    std::puts("[  SKIPPED ] this machine has no GPU");
    GTEST_SKIP();
  }
};

const auto* const environment = ::testing::AddGlobalTestEnvironment(new SkipWithoutGpu);

}  // namespace
}  // namespace initrt::testing
