#include "launch/output/npy.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "sharding/error.h"
#include "tests/support/temporary_directory.h"

namespace initrt {
namespace {

TEST(Npy, HoldsTheRowsBehindAPaddedHeader) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.file("a.npy");
  NpyWriter writer(path, 2, 3);
  const std::array<float, 3> first = {1, 2, 3}, second = {4, 5, 6};
  writer.row(first);
  writer.row(second);
  writer.close();
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  ASSERT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\0", 8));
  const std::size_t header = static_cast<unsigned char>(bytes[8]);
  EXPECT_EQ((10 + header) % 64, 0u);
  EXPECT_NE(bytes.find("'shape': (2, 3)"), std::string::npos);
  EXPECT_NE(bytes.find("'descr': '<f4'"), std::string::npos);
  ASSERT_EQ(bytes.size(), 10 + header + 24);
  std::array<float, 6> values{};
  std::memcpy(values.data(), bytes.data() + 10 + header, sizeof values);
  EXPECT_EQ(values, (std::array<float, 6>{1, 2, 3, 4, 5, 6}));
}

TEST(Npy, NothingIsLeftOfAnUnfinishedFile) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.file("a.npy");
  {
    NpyWriter writer(path, 1, 1);
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".part"));
}

TEST(Npy, APlaceThatCannotBeWrittenIsNamed) {
  try {
    NpyWriter writer("/nonexistent/directory/a.npy", 1, 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("/nonexistent/directory/a.npy"), std::string::npos);
  }
}

}  // namespace
}  // namespace initrt
