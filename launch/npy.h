// NumPy's .npy files (format version 1.0, numpy.lib.format), written row by row.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>

namespace initrt {

/// A float32 matrix in the making: it appears under its name once close() is called.
class NpyWriter {
 public:
  /// @throws Error naming the path where it cannot be written
  NpyWriter(std::string path, std::uint64_t rows, std::uint64_t columns);
  NpyWriter(const NpyWriter&) = delete;
  NpyWriter& operator=(const NpyWriter&) = delete;
  ~NpyWriter();

  void row(std::span<const float> values);
  void close();

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  [[noreturn]] void fail_with_errno() const;

  const std::string path_, part_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace initrt
