// Part of tests for real GPUs: where there is none they are skipped, visibly.
#include <gtest/gtest.h>

#include "runtime/device/cuda/gpus.h"

namespace initrt::testing {
namespace {

class SkipWithoutGpu final : public ::testing::Environment {
 public:
  void SetUp() override {
    if (cuda::visible_gpus().empty()) GTEST_SKIP() << "this machine has no GPU";
  }
};

const auto* const environment = ::testing::AddGlobalTestEnvironment(new SkipWithoutGpu);

}  // namespace
}  // namespace initrt::testing
