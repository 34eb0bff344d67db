#include "runtime/device/cuda/shared_library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "sharding/error.h"

namespace initrt::cuda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string failure_of(const std::function<void()>& what) {
  try {
    what();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(SharedLibrary, IsWhereTheLinkerFindsItOrElsewhere) {
  EXPECT_EQ(SharedLibrary("libm.so.6", "", "").get<double(double)>("cos")(0), 1);
  EXPECT_EQ(SharedLibrary("libnone.so.1", "libm.so.6", "").get<double(double)>("cos")(0), 1);
}

TEST(SharedLibrary, ThatIsMissingIsNamedInOneLine) {
  EXPECT_THAT(
      failure_of([] { SharedLibrary("libnone.so.1", "/nowhere/libnone.so", "get it"); }),
      AllOf(HasSubstr("cannot open libnone.so.1"), HasSubstr("get it"), Not(HasSubstr("\n"))));
  const SharedLibrary library("libm.so.6", "", "");
  EXPECT_THAT(failure_of([&] { (void)library.get<void()>("none"); }),
              HasSubstr("libm.so.6 has no function none"));
}

}  // namespace
}  // namespace initrt::cuda
