// PyTorch files made up by tests: archives and the older format, around one storage of 24 floats.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "sharding/checkpoint/torch/torch_file.h"
#include "tests/sharding/checkpoint/torch/pickle_writer.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt::testing {

/// 24 floats whose bytes tell where they are.
inline std::string storage_bytes() {
  std::string bytes;
  for (int i = 0; i < 24; ++i) bytes += raw(static_cast<float>(i));
  return bytes;
}

/// A view of storage "0": those 24 floats.
inline PyTensor floats(std::vector<std::int64_t> shape, std::vector<std::int64_t> strides,
                       std::int64_t offset = 0) {
  return {py_storage("FloatStorage", "0", 24), offset, std::move(shape), std::move(strides)};
}
inline std::string matrix() { return floats({4, 6}, {6, 1}).call(); }

inline std::string archive_of(const std::string& value) {
  return torch_archive(pickle(value), {storage_bytes()}).file();
}
inline std::string archive_with(const std::string& tensor) {
  return archive_of(py_dict({{py_string("w"), tensor}}));
}

inline TorchFile read_torch(const std::string& content) {
  MemoryFiles files;
  files.content["m.bin"] = content;
  return read_torch_file(files, "m.bin");
}

inline std::string torch_error(const std::string& content) {
  const std::string text = error_of([&] { (void)read_torch(content); });
  EXPECT_TRUE(text.starts_with("m.bin: ")) << text;
  return text;
}

inline void expect_says(const std::string& text, std::initializer_list<std::string> parts) {
  for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << text;
}

/// What _legacy_save writes; `keys` and `storages` as opcodes and bytes.
inline std::string legacy_file(
    const std::string& value, const std::string& keys, const std::string& storages,
    const std::string& machine = py_dict({{py_string("little_endian"), "\x88"}})) {
  return pickle("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") + pickle("M\xe9\x03") +
         pickle(machine) + pickle(value) + pickle(keys) + storages;
}
inline std::string legacy_of(const std::string& value) {
  return legacy_file(value, py_list({py_string("0")}), raw<std::uint64_t>(24) + storage_bytes());
}

}  // namespace initrt::testing
