// Writes safetensors files of tensors with values, for checkpoints that tests make up.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sharding/dtype.h"

namespace initrt::testing {

/// Writes a file. @throws Error where it cannot be written
void write_file(const std::string& path, const std::string& content);

/// Values as a checkpoint of `dtype` has them. @param dtype F32, or BF16 (rounded to the nearest)
[[nodiscard]] std::string bytes_of_values(const std::vector<float>& values, DType dtype);

class SafetensorsWriter {
 public:
  /// @param values as many as the shape says, row-major
  void add(const std::string& name, DType dtype, const std::vector<std::uint64_t>& shape,
           const std::vector<float>& values);

  /// @param bytes as many as the shape and dtype say
  void add_bytes(const std::string& name, DType dtype, const std::vector<std::uint64_t>& shape,
                 const std::string& bytes);

  void write(const std::string& path) const;

 private:
  nlohmann::json header_ = nlohmann::json::object();
  std::string data_;
};

}  // namespace initrt::testing
