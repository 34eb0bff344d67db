// A machine without libcufile.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>

#include "runtime/device/cuda/cufile.h"

namespace initrt::cuda {
namespace {

TEST(CuFile, IsSilentWhereThereIsNoLibrary) {
  if (::dlopen("libcufile.so.0", RTLD_NOW) != nullptr) GTEST_SKIP() << "this machine has it";
  ::setenv("CUFILE_USE_PCIP2PDMA", "1", /*overwrite=*/1);
  std::array<std::byte, 4096> memory{};
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(CuFile::open(memory), nullptr);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace initrt::cuda
