// A directory for as long as a test needs it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>

namespace initrt::testing {

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(fresh_path()) { std::filesystem::create_directory(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  // CTest runs the cases of a test side by side, in processes.
  static std::string fresh_path() {
    static std::atomic<int> count{0};
    return ::testing::TempDir() + "initrt_dir_" + std::to_string(::getpid()) + "_" +
           std::to_string(++count);
  }

  const std::string path_;
};

}  // namespace initrt::testing
