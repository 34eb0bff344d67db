// Writers of small checkpoint files, right or wrong as a test wants them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace initrt::testing {

/// The bytes of a number, little-endian as all of these formats have it.
template <class T>
std::string raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

/// A safetensors file: the header's length, the header, and `data_bytes` zeros.
inline std::string safetensors_file(std::string_view json, std::size_t data_bytes) {
  return raw<std::uint64_t>(json.size()) + std::string(json) + std::string(data_bytes, '\0');
}

/// GGUF's value types and ggml's tensor types, as far as the tests use them.
enum GgufType : std::uint32_t {
  kU8 = 0,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
};
enum GgmlType : std::uint32_t { kGgmlF32 = 0, kGgmlQ4_1 = 3, kGgmlQ8_1 = 9, kGgmlBF16 = 30 };

inline std::string gguf_string(std::string_view text) {
  return raw<std::uint64_t>(text.size()) + std::string(text);
}

/// A GGUF file, pair by pair and tensor by tensor. The counts and the version can be made wrong.
class GgufWriter {
 public:
  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::uint64_t extra_tensors = 0, extra_keys = 0;  ///< promised, but not there
  std::uint64_t alignment = 32;                     ///< of the padding before the data

  GgufWriter& pair(std::string_view key, std::uint32_t type, const std::string& value) {
    pairs_.push_back(gguf_string(key) + raw(type) + value);
    return *this;
  }
  GgufWriter& text(std::string_view key, std::string_view value) {
    return pair(key, kString, gguf_string(value));
  }
  GgufWriter& u32(std::string_view key, std::uint32_t value) { return pair(key, kU32, raw(value)); }

  /// `dimensions` innermost first, `offset` from the start of the data.
  GgufWriter& tensor(std::string_view name, const std::vector<std::uint64_t>& dimensions,
                     std::uint32_t type, std::uint64_t offset) {
    std::string info = gguf_string(name) + raw(static_cast<std::uint32_t>(dimensions.size()));
    for (const std::uint64_t extent : dimensions) info += raw(extent);
    tensors_.push_back(info + raw(type) + raw(offset));
    return *this;
  }

  [[nodiscard]] std::string file(std::size_t data_bytes) const {
    std::string bytes = magic + raw(version) + raw(tensors_.size() + extra_tensors) +
                        raw(pairs_.size() + extra_keys);
    for (const std::string& pair : pairs_) bytes += pair;
    for (const std::string& tensor : tensors_) bytes += tensor;
    while (bytes.size() % alignment != 0) bytes += '\0';
    return bytes + std::string(data_bytes, '\0');
  }

 private:
  std::vector<std::string> pairs_, tensors_;
};

}  // namespace initrt::testing
