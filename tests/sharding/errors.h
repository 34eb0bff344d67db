// What an Error says, checked to be one line.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "sharding/error.h"

namespace initrt::testing {

inline bool is_one_line(const std::string& text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

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
