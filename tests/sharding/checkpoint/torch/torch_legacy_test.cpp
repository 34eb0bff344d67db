// The format that PyTorch wrote before its version 1.6.
#include <gtest/gtest.h>

#include "tests/sharding/checkpoint/torch/torch_files.h"

namespace initrt {
namespace {

using namespace testing;

TEST(TorchLegacy, StoragesFollowInTheOrderOfTheirKeys) {
  const std::string one = PyTensor{py_storage("FloatStorage", "one", 2), 0, {2}, {1}}.call();
  const std::string two = PyTensor{py_storage("DoubleStorage", "two", 3), 1, {2}, {1}}.call();
  const std::string content = legacy_file(
      py_dict({{py_string("a"), one}, {py_string("b"), two}}),
      py_list({py_string("two"), py_string("one")}),
      raw<std::uint64_t>(3) + std::string(24, 'd') + raw<std::uint64_t>(2) + std::string(8, 'f'));
  const TorchFile file = read_torch(content);
  EXPECT_EQ(file.tensors[0].offset, content.size() - 8);
  EXPECT_EQ(file.tensors[1].offset, content.size() - 8 - 8 - 16);
}

TEST(TorchLegacy, EveryTruncationIsAnError) {
  const std::string whole = legacy_of(py_dict({{py_string("w"), matrix()}}));
  ASSERT_NO_THROW((void)read_torch(whole));
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
    (void)torch_error(whole.substr(0, bytes));
  expect_says(torch_error(whole.substr(0, whole.size() - 1)),
              {"truncated: storage \"0\" has 96 bytes"});
  expect_says(torch_error(whole + "x"), {"1 bytes follow the last storage"});
}

TEST(TorchLegacy, StoragesThatDoNotFitTheirKeysAreErrors) {
  const std::string value = py_dict({{py_string("w"), matrix()}});
  const auto error = [&](const std::string& keys, std::uint64_t elements) {
    return torch_error(legacy_file(value, keys, raw(elements) + storage_bytes()));
  };
  const std::string key = py_string("0");
  expect_says(error(py_list({key}), 23), {"has 23 elements here and 24 in the pickle"});
  expect_says(error(py_list({key}), ~0ull), {"has 18446744073709551615 elements here"});
  expect_says(error(py_list({py_string("1")}), 24), {"storage \"1\" is no tensor's"});
  expect_says(error(py_list({key, key}), 24), {"storage \"0\" is there twice"});
  expect_says(error(py_list({}), 24), {"0 keys of storages, but tensors have 1"});
  expect_says(error("}", 24), {"the keys of the storages is a dict, expected a list"});
}

TEST(TorchLegacy, OtherVersionsAndByteOrdersAreErrors) {
  const std::string magic = pickle("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19");
  expect_says(torch_error(magic + pickle("M\xe8\x03")), {"not the protocol version 1001"});
  expect_says(
      torch_error(legacy_file("}", "]", "", py_dict({{py_string("little_endian"), "\x89"}}))),
      {"does not say that it is little-endian"});
  expect_says(torch_error(legacy_file("}", "]", "", "}")),
              {"does not say that it is little-endian"});
  expect_says(torch_error(legacy_file("}", "]", "", "N")),
              {"does not say that it is little-endian"});
}

}  // namespace
}  // namespace initrt
