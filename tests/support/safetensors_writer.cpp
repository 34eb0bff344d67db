#include "tests/support/safetensors_writer.h"

#include <bit>
#include <fstream>

#include "sharding/error.h"
#include "tests/sharding/checkpoint/header_writers.h"

namespace initrt::testing {

void write_file(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  if (!file.flush()) fail("{}: cannot be written", path);
}

std::string bytes_of_values(const std::vector<float>& values, DType dtype) {
  std::string bytes;
  for (const float value : values) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if (dtype == DType::F32) {
      bytes += raw(bits);
    } else {
      bytes += raw(static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16));
    }
  }
  return bytes;
}

void SafetensorsWriter::add(const std::string& name, DType dtype,
                            const std::vector<std::uint64_t>& shape,
                            const std::vector<float>& values) {
  add_bytes(name, dtype, shape, bytes_of_values(values, dtype));
}

void SafetensorsWriter::add_bytes(const std::string& name, DType dtype,
                                  const std::vector<std::uint64_t>& shape,
                                  const std::string& bytes) {
  const std::size_t begin = data_.size();
  data_ += bytes;
  header_[name] = {
      {"dtype", initrt::name(dtype)}, {"shape", shape}, {"data_offsets", {begin, data_.size()}}};
}

void SafetensorsWriter::write(const std::string& path) const {
  write_file(path, safetensors_file(header_.dump(), 0) + data_);
}

}  // namespace initrt::testing
