// The references that are matrices: .npy files of float32.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/support/process.h"

namespace initrt::testing {

/// The last `values` values of a float32 .npy file: all of them, where it has that many.
inline std::vector<float> read_npy(const std::string& path, std::size_t values) {
  const std::string bytes = contents(path);
  std::vector<float> matrix(values);
  EXPECT_GT(bytes.size(), values * sizeof(float)) << path;
  if (bytes.size() <= values * sizeof(float)) return matrix;
  std::memcpy(matrix.data(), bytes.data() + bytes.size() - values * sizeof(float),
              values * sizeof(float));
  return matrix;
}

}  // namespace initrt::testing
