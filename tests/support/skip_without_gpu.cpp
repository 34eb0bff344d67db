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
    std::puts("[  SKIPPED ] this machine has no GPU");  // what CTest looks for; an environment's
    GTEST_SKIP();                                       // skip is not told in those words
  }
};

const auto* const environment = ::testing::AddGlobalTestEnvironment(new SkipWithoutGpu);

}  // namespace
}  // namespace initrt::testing
