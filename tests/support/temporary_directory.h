// A directory for as long as a test needs it.
#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace initrt::testing {

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(make_directory()) {}
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  // New, and so empty, whatever a process of this number has left behind that was killed.
  static std::string make_directory() {
    std::string path = ::testing::TempDir() + "initrt_XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), path);
    }
    return path;
  }

  const std::string path_;
};

}  // namespace initrt::testing
