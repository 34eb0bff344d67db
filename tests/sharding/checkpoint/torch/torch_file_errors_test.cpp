// PyTorch's files in every way wrong: hostile, broken, or not supported.
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "tests/sharding/checkpoint/torch/torch_files.h"

namespace initrt {
namespace {

using namespace testing;
using namespace std::string_literals;

TEST(TorchFile, WhatTensorsDoNotNeedIsRefusedAndNotRun) {
  const std::string attack = py_call(py_global("os", "system"), {py_string("touch /pwned")});
  EXPECT_EQ(torch_error(archive_with(attack)),
            "m.bin: data.pkl: byte 10: the global \"os.system\" is not one that tensors need; "
            "nothing of it was run");
  expect_says(torch_error(legacy_of(py_dict({{py_string("w"), attack}}))),
              {"m.bin: pickle at byte ", "the global \"os.system\" is not one"});
  for (const char* name :
       {"_rebuild_qtensor", "_rebuild_sparse_tensor", "_rebuild_meta_tensor_no_storage"}) {
    expect_says(torch_error(archive_with(py_call(py_global("torch._utils", name), {}))),
                {"the global \"torch._utils."s + name});
  }
  for (const char* key : {"neg", "conj"}) {
    PyTensor view = floats({4, 6}, {6, 1});
    view.more = py_dict({{py_string(key), "\x88"}});
    expect_says(torch_error(archive_with(view.call())),
                {"tensor \"w\": a negated or conjugated view"});
  }
}

// 200,000 times the same OrderedDict, of 200,000 times the same list without items.
TEST(TorchFile, SharedContainersDoNotMakeASmallFileEndless) {
  std::string lists, dictionaries;
  for (int i = 0; i < 200'000; ++i) {
    lists += "h\0"s;
    dictionaries += "h\1"s;
  }
  const std::string dictionary =
      py_global("collections", "OrderedDict") + "(]q\0"s + lists + "tRq\1";
  expect_says(torch_error(archive_of(dictionary + "0}K\0]("s + dictionaries + "es")),
              {"the names and shapes in it take more than"});
}

TEST(TorchFile, ViewsThatLeaveTheirStorageAreErrors) {
  const PyTensor outside[] = {floats({4, 6}, {7, 1}), floats({25}, {1}), floats({1}, {1}, 24),
                              floats({4, 6}, {6, 1}, 1), floats({0}, {1}, 25)};
  for (const PyTensor& tensor : outside) {
    expect_says(torch_error(archive_with(tensor.call())),
                {"tensor \"w\": shape [", "leave its storage \"0\" of 24 elements"});
  }
  constexpr std::int64_t kHuge = 1ll << 62;
  for (const PyTensor& tensor :
       {floats({kHuge, kHuge}, {kHuge, 1}), floats({kHuge, kHuge}, {3, 3})}) {
    expect_says(torch_error(archive_with(tensor.call())), {"the extent of tensor \"w\"", "2^64"});
  }
  expect_says(torch_error(archive_with(floats({kHuge}, {1}, kHuge).call())), {"leave its storage"});
  expect_says(torch_error(archive_with(floats({4, 6}, {1}).call())),
              {"2 dimensions, but 1 strides"});
  expect_says(torch_error(archive_with(floats({-4}, {1}).call())),
              {"the shape of tensor \"w\" is -4, which is negative"});
  expect_says(torch_error(archive_with(floats({4}, {-1}).call())),
              {"the strides of tensor \"w\" is -1, which is negative"});
  expect_says(torch_error(archive_with(floats({4}, {1}, -1).call())),
              {"the offset of tensor \"w\" is -1, which is negative"});
}

TEST(TorchFile, StoragesThatAreNotThereAreErrors) {
  PyTensor tensor = floats({4}, {1});
  tensor.storage = py_storage("FloatStorage", "1", 24);
  expect_says(torch_error(archive_with(tensor.call())),
              {"zip member \"archive/data/1\" is missing"});
  tensor.storage = py_storage("FloatStorage", "0", 25);
  expect_says(torch_error(archive_with(tensor.call())),
              {"a storage of 100 bytes, but zip member \"archive/data/0\" has 96"});
  tensor.storage = py_storage("FloatStorage", "0", std::numeric_limits<std::int64_t>::max());
  expect_says(torch_error(archive_with(tensor.call())), {"storage \"0\" takes 2^64 bytes or more"});
  expect_says(torch_error(archive_of(py_tuple({matrix(), tensor.call()}))), {"storage \"0\""});
  tensor.storage = py_storage("FloatStorage", std::string(300, '0'), 1);
  expect_says(torch_error(archive_with(tensor.call())),
              {"has 300 bytes, at most 255 are expected"});
  tensor.storage = "N";
  expect_says(torch_error(archive_with(tensor.call())), {"its storage is None"});
  tensor.storage = py_storage("Size", "0", 24);
  expect_says(torch_error(archive_with(tensor.call())), {"the class of a storage is a global"});
}

TEST(TorchFile, PersistentIdsThatAreNoStoragesAreErrors) {
  const auto id = [](const std::vector<std::string>& parts) {
    PyTensor tensor = floats({4}, {1});
    tensor.storage = py_tuple(parts) + "Q";
    return torch_error(archive_with(tensor.call()));
  };
  const std::string type = py_global("torch", "FloatStorage");
  expect_says(id({py_string("module"), type, py_string("0"), py_string("cpu"), "K\1"}),
              {"a persistent id that is not a storage's"});
  expect_says(id({py_string("storage"), type}), {"has 2 parts, expected 5 or 6"});
  expect_says(id({py_string("storage"), type, py_string("0"), py_string("cpu"), "K\1",
                  py_tuple({py_string("1"), "K\0"s, "K\1"})}),
              {"a storage that is a view of another one"});
  PyTensor tensor = floats({4}, {1});
  tensor.storage = "NQ";
  expect_says(torch_error(archive_with(tensor.call())), {"the persistent id of a storage is None"});
}

TEST(TorchFile, NamesGivenTwiceAreErrors) {
  expect_says(torch_error(archive_of(py_dict({{py_string("w"), matrix()}, {py_string("w"), "N"}}))),
              {"key \"w\" appears twice"});
  expect_says(
      torch_error(archive_of(py_dict({{py_string("a.b"), matrix()},
                                      {py_string("a"), py_dict({{py_string("b"), matrix()}})}}))),
      {"tensor \"a.b\" appears twice"});
  expect_says(torch_error(archive_of(py_dict({{py_tuple({"N"}), matrix()}}))),
              {"a key of the dictionary is a tuple, expected a string"});
}

TEST(TorchFile, WhatIsNoStateDictIsAnError) {
  expect_says(torch_error(archive_of(matrix())),
              {"data.pkl: it holds one tensor, expected a dictionary of tensors"});
  expect_says(torch_error(archive_of(py_list({matrix()}))),
              {"it holds a list, expected a dictionary of tensors"});
}

TEST(TorchFile, ContainersInsideThemselvesAndBombsEnd) {
  expect_says(torch_error(archive_of("}\x94"s + py_string("a") + "h\0s"s)),
              {"nested more than 64 deep, or inside itself"});
  // Fifty lists, each holding the one before twice: 2^50 tensors to walk.
  std::string bomb = matrix() + "\x94";
  for (char i = 0; i < 50; ++i) bomb += "](h"s + i + "h"s + i + "e\x94";
  expect_says(torch_error(archive_of("}" + py_string("a") + "(" + bomb + "ls")),
              {"the names and shapes in it take more than"});
}

TEST(TorchFile, ArchivesThatAreNotTorchSavesAreErrors) {
  expect_says(torch_error(ZipWriter().member("a.txt", "b").file()),
              {"a zip archive without one */data.pkl"});
  expect_says(torch_error(ZipWriter().member("a/data.pkl", "").member("b/data.pkl", "").file()),
              {"a zip archive without one */data.pkl"});
  expect_says(torch_error(torch_archive(pickle("}")).member("archive/constants.pkl", "").file()),
              {"a TorchScript archive, which is a program"});
  expect_says(
      torch_error(
          ZipWriter().member("a/data.pkl", pickle("}")).member("a/byteorder", "big").file()),
      {"its byteorder is \"big\", expected \"little\""});
  expect_says(torch_error(torch_archive(pickle("}") + "N.").file()),
              {"m.bin: data.pkl: 2 bytes follow its end at byte 4"});
  std::string compressed = archive_with(matrix());
  patch(compressed, testing::kZipEntry, 10, raw<std::uint16_t>(8), 2);
  expect_says(torch_error(compressed), {"\"archive/data/0\" is stored compressed"});
  std::string tar(600, '\0');
  tar.replace(257, 5, "ustar");
  expect_says(torch_error(tar), {"a tar archive, as PyTorch wrote before"});
  expect_says(torch_error("GGUF"), {"begins neither like a zip archive nor like a pickle"});
  expect_says(torch_error(""), {"begins neither"});
}

TEST(TorchFile, DamagedFilesAreReadOrRefused) {
  const std::string value =
      py_dict({{py_string("w"), matrix()}, {py_string("v"), floats({2, 3}, {1, 6}, 3).call()}});
  for (const std::string& whole : {archive_of(value), legacy_of(value)}) {
    std::mt19937_64 rng(1);
    int good = 0;
    for (int round = 0; round < 2'000; ++round) {
      std::string bytes = whole;
      for (std::uint64_t i = 0; i <= rng() % 2; ++i) {
        bytes[rng() % bytes.size()] = static_cast<char>(rng());
      }
      try {
        const TorchFile file = read_torch(bytes);
        ++good;
        for (const TorchTensor& tensor : file.tensors) {
          std::uint64_t last = tensor.offset;
          for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
            if (tensor.shape[i] > 0) {
              last += (tensor.shape[i] - 1) * tensor.strides[i] * bytes_of(tensor.dtype, 1);
            }
          }
          ASSERT_LE(last, bytes.size());
        }
      } catch (const Error& error) {
        ASSERT_TRUE(testing::is_one_line(error.what())) << error.what();
      }
    }
    EXPECT_GT(good, 200);
    EXPECT_LT(good, 1800);
  }
}

}  // namespace
}  // namespace initrt
