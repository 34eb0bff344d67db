// What an Error says, checked to be one line.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "sharding/error.h"
#include "tests/sharding/one_line.h"

namespace initrt::testing {

/// The text of the Error that `call` throws; a test failure and "" where it throws none.
template <class Function>
std::string error_of(const Function& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_TRUE(is_one_line(error.what())) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "expected an Error";
  return "";
}

}  // namespace initrt::testing
