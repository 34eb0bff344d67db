#include "sharding/checkpoint/catalog.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/sharding/checkpoint/header_writers.h"
#include "tests/sharding/dense_entry.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using testing::dense_entry;
using testing::error_of;
using testing::MemoryFiles;

Catalog catalog_of(std::vector<TensorEntry> tensors, std::uint64_t file_bytes = 1000) {
  Catalog catalog;
  catalog.files = {{"one", file_bytes}, {"two", file_bytes}};
  catalog.tensors = std::move(tensors);
  return catalog;
}

std::string finish_error(std::vector<TensorEntry> tensors, std::uint64_t file_bytes = 1000) {
  Catalog catalog = catalog_of(std::move(tensors), file_bytes);
  return error_of([&] { catalog.finish(); });
}

TEST(Catalog, SortsByPlaceAndFindsByName) {
  Catalog catalog =
      catalog_of({dense_entry("c", DType::F32, {2}, 1, 8), dense_entry("b", DType::F32, {2}, 1, 0),
                  dense_entry("a", DType::F32, {2}, 0, 100)});
  catalog.finish();
  EXPECT_EQ(catalog.find("a"), 0);
  EXPECT_EQ(catalog.find("b"), 1);
  EXPECT_EQ(catalog.find("c"), 2);
  EXPECT_EQ(catalog.find("d"), -1);
}

TEST(Catalog, NamesHaveALimit) {
  Catalog catalog = catalog_of({dense_entry(std::string(4096, 'x'), DType::F32, {2}, 0, 0)});
  EXPECT_NO_THROW(catalog.finish());
  EXPECT_EQ(finish_error({dense_entry(std::string(4097, 'x'), DType::F32, {2}, 0, 0)}),
            "one: a tensor's name has 4097 bytes, more than the 4096 that one may have: \"" +
                std::string(64, 'x') + "\"...");
}

TEST(Catalog, TensorsOfNoBytesOverlapNothing) {
  Catalog catalog = catalog_of({dense_entry("none", DType::F32, {0, 7}, 0, 4),
                                dense_entry("some", DType::F32, {2}, 0, 0),
                                dense_entry("scalar", DType::F32, {}, 0, 8)});
  EXPECT_NO_THROW(catalog.finish());
}

TEST(Catalog, OverlapsAreErrorsWithBothTensors) {
  EXPECT_EQ(finish_error(
                {dense_entry("a", DType::F32, {3}, 0, 0), dense_entry("b", DType::F32, {2}, 0, 8)}),
            "one: tensor \"b\" at byte 8 overlaps tensor \"a\", which ends at byte 12");
  // An empty tensor between the two does not hide it.
  EXPECT_NE(finish_error({dense_entry("a", DType::F32, {3}, 0, 0),
                          dense_entry("none", DType::F32, {0}, 0, 4),
                          dense_entry("b", DType::F32, {2}, 0, 8)})
                .find("overlaps"),
            std::string::npos);
  Catalog apart = catalog_of(
      {dense_entry("a", DType::F32, {3}, 0, 0), dense_entry("b", DType::F32, {2}, 1, 8)});
  EXPECT_NO_THROW(apart.finish());
}

TEST(Catalog, RangesOutsideTheFileAreErrors) {
  EXPECT_EQ(finish_error({dense_entry("a", DType::F32, {2}, 0, 996)}),
            "one: tensor \"a\": the file is truncated: 8 bytes at byte 996 are needed, but the "
            "file has 1000 bytes");
  EXPECT_NE(finish_error({dense_entry("a", DType::F32, {2}, 0, ~0ull - 3)}).find("truncated"),
            std::string::npos);
}

TEST(Catalog, ShapesMustFitTheDtypeAndSixtyFourBits) {
  EXPECT_EQ(finish_error({dense_entry("a", DType::Q4_1, {32, 16}, 0, 0)}),
            "one: tensor \"a\": rows of 16 elements are not a whole number of Q4_1 blocks of 32");
  EXPECT_NE(
      finish_error({dense_entry("a", DType::F32, {1ull << 32, 1ull << 32}, 0, 0)}).find("64 bits"),
      std::string::npos);
  EXPECT_NE(finish_error({dense_entry("a", DType::F32, {1ull << 62}, 0, 0)}).find("overflows"),
            std::string::npos);
  // A zero extent makes the tensor empty, however large the others are.
  Catalog empty = catalog_of({dense_entry("a", DType::F32, {1ull << 63, 1ull << 63, 0}, 0, 0)});
  EXPECT_NO_THROW(empty.finish());
}

/// A [4, 6] tensor of float32 in boxes of [rows, columns] at [row, column], one behind the other.
TensorEntry boxes(const std::vector<std::array<std::uint64_t, 4>>& places) {
  TensorEntry entry{"a", DType::F32, {4, 6}, {}};
  for (const auto& [row, column, rows, columns] : places) {
    entry.parts.push_back({0, entry.parts.size() * 96, {row, column}, {rows, columns}, {}});
  }
  return entry;
}

TEST(Catalog, PartsHoldEachElementOnce) {
  // Rows, columns, a grid, and each half of the rows cut in its own way.
  for (const TensorEntry& entry :
       {boxes({{0, 0, 1, 6}, {1, 0, 3, 6}}), boxes({{0, 4, 4, 2}, {0, 0, 4, 4}}),
        boxes({{0, 0, 2, 3}, {0, 3, 2, 3}, {2, 0, 2, 3}, {2, 3, 2, 3}}),
        boxes({{0, 0, 2, 1}, {0, 1, 2, 5}, {2, 0, 1, 6}, {3, 0, 1, 6}, {4, 0, 0, 6}})}) {
    Catalog catalog = catalog_of({entry});
    EXPECT_NO_THROW(catalog.finish());
  }
  EXPECT_EQ(finish_error({boxes({{0, 0, 1, 6}, {2, 0, 2, 6}})}),
            "one: tensor \"a\": its parts hold 18 of 24 elements");
  EXPECT_EQ(finish_error({boxes({{0, 0, 3, 6}, {2, 0, 2, 6}})}),
            "one: tensor \"a\": some of its 2 parts overlap");
  EXPECT_EQ(finish_error({boxes({{0, 0, 4, 4}, {0, 3, 4, 3}})}),
            "one: tensor \"a\": some of its 2 parts overlap");
  EXPECT_EQ(finish_error({boxes({{0, 0, 4, 7}})}),
            "one: tensor \"a\": the part [4, 7] at [0, 0] lies outside of its shape [4, 6]");
  EXPECT_NE(finish_error({boxes({{0, 0, 1, 6}, {~0ull, 0, 3, 6}})}).find("lies outside"),
            std::string::npos);
  EXPECT_EQ(finish_error({TensorEntry{"a", DType::F32, {4}, {}}}),
            "tensor \"a\" is stored nowhere");
}

TEST(Catalog, ViewsLieInsideTheirFile) {
  const auto view = [](std::vector<std::uint64_t> strides, std::uint64_t offset) {
    return TensorEntry{"a", DType::F32, {4, 6}, {{0, offset, {}, {}, std::move(strides)}}};
  };
  Catalog transposed = catalog_of({view({1, 4}, 904)});
  EXPECT_NO_THROW(transposed.finish());
  EXPECT_EQ(finish_error({view({1, 4}, 908)}),
            "one: tensor \"a\": the file is truncated: 96 bytes at byte 908 are needed, but the "
            "file has 1000 bytes");
  EXPECT_NE(finish_error({view({1ull << 62, 1}, 0)}).find("overflows"), std::string::npos);
  Catalog repeated = catalog_of({view({0, 1}, 976)});
  EXPECT_NO_THROW(repeated.finish());
  EXPECT_EQ(finish_error({TensorEntry{"a", DType::F32, {1ull << 40, 6}, {{0, 0, {}, {}, {0, 1}}}}}),
            "one: tensor \"a\": a view of 6597069766656 elements that repeats those of a file of "
            "1000 bytes");
  EXPECT_NE(finish_error({view({1}, 0)}).find("does not have its 2 dimensions"), std::string::npos);
  EXPECT_EQ(finish_error({TensorEntry{"a", DType::Q8_0, {4, 32}, {{0, 0, {}, {}, {32, 1}}}}}),
            "one: tensor \"a\": Q8_0 blocks cannot be cut into parts");
}

TEST(Catalog, ViewsOfOneStorageMayOverlapWhereTheFormatHasThem) {
  Catalog catalog = catalog_of(
      {dense_entry("a", DType::F32, {3}, 0, 0), dense_entry("b", DType::F32, {3}, 0, 0)});
  EXPECT_NO_THROW(catalog.finish(SharedBytes::Allowed));
  EXPECT_THROW(catalog.finish(), Error);
}

TEST(Catalog, NamesAreUniqueOverAllFiles) {
  EXPECT_EQ(finish_error(
                {dense_entry("a", DType::F32, {1}, 0, 0), dense_entry("a", DType::F32, {1}, 1, 0)}),
            "two: tensor \"a\" appears twice, the first time in one");
}

TEST(Catalog, HostileNamesStayOnOneLine) {
  const std::string line = finish_error({dense_entry("a\n\x01\xff", DType::F32, {1}, 0, 998)});
  EXPECT_NE(line.find("\"a\\n\\u0001"), std::string::npos) << line;
  EXPECT_LT(finish_error({dense_entry(std::string(60'000, 'x'), DType::F32, {1}, 0, 998)}).size(),
            400u);
}

TEST(OpenCheckpoint, SaysWhatItFoundInstead) {
  MemoryFiles files;
  EXPECT_EQ(error_of([&] { (void)open_checkpoint(files, "none"); }),
            "none: no such file or directory");
  files.content["empty.gguf"] = "";
  EXPECT_NE(error_of([&] { (void)open_checkpoint(files, "empty.gguf"); }).find("the file is empty"),
            std::string::npos);
  files.content["notes.txt"] = "hello, world";
  const std::string unknown = error_of([&] { (void)open_checkpoint(files, "notes.txt"); });
  EXPECT_NE(unknown.find("notes.txt: no checkpoint of a known format"), std::string::npos);
  EXPECT_NE(unknown.find("12 bytes that begins with 68 65 6c 6c 6f 2c 20 77"), std::string::npos);
  EXPECT_NE(unknown.find("safetensors"), std::string::npos);
  files.content["model/notes.txt"] = "x";
  EXPECT_NE(error_of([&] { (void)open_checkpoint(files, "model"); })
                .find("a directory without *.safetensors, pytorch_model.bin, lit_model.pth, "
                      "consolidated.00.pth, .metadata or *.gguf; it holds notes.txt"),
            std::string::npos);
}

TEST(OpenCheckpoint, TheFirstFormatIsReadUnlessAnotherIsAskedFor) {
  MemoryFiles files;
  files.content["d/model.safetensors"] = testing::safetensors_file("{}", 0);
  files.content["d/model.gguf"] = testing::GgufWriter().file(0);
  const Catalog first = open_checkpoint(files, "d");
  EXPECT_EQ(first.format, "safetensors");
  EXPECT_EQ(first.choice,
            "d holds several checkpoints: reading the one in safetensors, not the one in gguf "
            "(--format)");
  const Catalog second = open_checkpoint(files, "d", "gguf");
  EXPECT_EQ(second.format, "gguf");
  EXPECT_EQ(second.choice, "") << "it was asked for";
  EXPECT_EQ(error_of([&] { (void)open_checkpoint(files, "d", "dcp"); }),
            "d: no checkpoint of the format dcp");
  EXPECT_EQ(open_checkpoint(files, "d/model.gguf").choice, "");
}

}  // namespace
}  // namespace initrt
