// NumPy's .npy files (format version 1.0, numpy.lib.format), written row by row.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "runtime/storage/output_file.h"

namespace initrt {

/// A float32 matrix in the making: it appears under its name once close() is called. Every function
/// throws Error naming the path where it cannot be written.
class NpyWriter {
 public:
  NpyWriter(std::string path, std::uint64_t rows, std::uint64_t columns);

  void row(std::span<const float> values) { file_.write(std::as_bytes(values)); }
  void close() { file_.commit(); }

 private:
  OutputFile file_;
};

}  // namespace initrt
