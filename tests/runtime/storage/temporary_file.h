// A file in the temporary directory for as long as a test needs it.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

namespace initrt::testing {

inline std::string random_bytes(std::size_t bytes, std::uint64_t seed) {
  std::mt19937_64 rng(seed);
  std::string content(bytes, '\0');
  for (char& byte : content) byte = static_cast<char>(rng());
  return content;
}

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) : path_(fresh_path()) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::remove(path_.c_str()); }

  [[nodiscard]] const std::string& path() const { return path_; }
  void resize(std::uint64_t bytes) const { std::filesystem::resize_file(path_, bytes); }

  /// A path at which nothing is, whatever other processes make, or have left behind.
  static std::string fresh_path() {
    std::random_device random;
    return ::testing::TempDir() + "initrt_" + std::to_string(random()) + std::to_string(random());
  }

 private:
  std::string path_;
};

}  // namespace initrt::testing
