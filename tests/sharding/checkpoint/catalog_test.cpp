#include "sharding/checkpoint/catalog.h"

#include <gtest/gtest.h>

#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

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
  Catalog catalog = catalog_of({{"c", DType::F32, {2}, 1, 8, 8},
                                {"b", DType::F32, {2}, 1, 0, 8},
                                {"a", DType::F32, {2}, 0, 100, 8}});
  catalog.finish();
  EXPECT_EQ(catalog.find("a"), 0);
  EXPECT_EQ(catalog.find("b"), 1);
  EXPECT_EQ(catalog.find("c"), 2);
  EXPECT_EQ(catalog.find("d"), -1);
}

TEST(Catalog, TensorsOfNoBytesOverlapNothing) {
  Catalog catalog = catalog_of({{"none", DType::F32, {0, 7}, 0, 4, 0},
                                {"some", DType::F32, {2}, 0, 0, 8},
                                {"scalar", DType::F32, {}, 0, 8, 4}});
  EXPECT_NO_THROW(catalog.finish());
}

TEST(Catalog, OverlapsAreErrorsWithBothTensors) {
  EXPECT_EQ(finish_error({{"a", DType::F32, {3}, 0, 0, 12}, {"b", DType::F32, {2}, 0, 8, 8}}),
            "one: tensor \"b\" at byte 8 overlaps tensor \"a\", which ends at byte 12");
  // An empty tensor between the two does not hide it.
  EXPECT_NE(finish_error({{"a", DType::F32, {3}, 0, 0, 12},
                          {"none", DType::F32, {0}, 0, 4, 0},
                          {"b", DType::F32, {2}, 0, 8, 8}})
                .find("overlaps"),
            std::string::npos);
  Catalog apart = catalog_of({{"a", DType::F32, {3}, 0, 0, 12}, {"b", DType::F32, {2}, 1, 8, 8}});
  EXPECT_NO_THROW(apart.finish());
}

TEST(Catalog, RangesOutsideTheFileAreErrors) {
  EXPECT_EQ(finish_error({{"a", DType::F32, {2}, 0, 996, 8}}),
            "one: tensor \"a\": the file is truncated: 8 bytes at byte 996 are needed, but the "
            "file has 1000 bytes");
  EXPECT_NE(finish_error({{"a", DType::F32, {2}, 0, ~0ull - 3, 8}}).find("truncated"),
            std::string::npos);
}

TEST(Catalog, BytesMustAgreeWithDtypeAndShape) {
  EXPECT_EQ(finish_error({{"a", DType::BF16, {3, 5}, 0, 0, 60}}),
            "one: tensor \"a\": 60 bytes, but BF16 [3, 5] takes 30");
  EXPECT_EQ(finish_error({{"a", DType::Q4_1, {32, 16}, 0, 0, 320}}),
            "one: tensor \"a\": rows of 16 elements are not a whole number of Q4_1 blocks of 32");
  EXPECT_NE(finish_error({{"a", DType::F32, {1ull << 32, 1ull << 32}, 0, 0, 0}}).find("64 bits"),
            std::string::npos);
  EXPECT_NE(finish_error({{"a", DType::F32, {1ull << 62}, 0, 0, 0}}).find("overflows"),
            std::string::npos);
  // A zero extent makes the tensor empty, however large the others are.
  Catalog empty = catalog_of({{"a", DType::F32, {1ull << 63, 1ull << 63, 0}, 0, 0, 0}});
  EXPECT_NO_THROW(empty.finish());
}

TEST(Catalog, NamesAreUniqueOverAllFiles) {
  EXPECT_EQ(finish_error({{"a", DType::F32, {1}, 0, 0, 4}, {"a", DType::F32, {1}, 1, 0, 4}}),
            "two: tensor \"a\" appears twice, the first time in one");
}

TEST(Catalog, HostileNamesStayOnOneLine) {
  const std::string line = finish_error({{"a\n\x01\xff", DType::F32, {1}, 0, 0, 8}});
  EXPECT_NE(line.find("\"a\\n\\u0001"), std::string::npos) << line;
  EXPECT_LT(finish_error({{std::string(60'000, 'x'), DType::F32, {1}, 0, 0, 8}}).size(), 400u);
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
  files.content["model/pytorch_model.bin"] = "PK";
  EXPECT_NE(error_of([&] {
              (void)open_checkpoint(files, "model");
            }).find("a directory without *.safetensors or *.gguf; it holds pytorch_model.bin"),
            std::string::npos);
}

}  // namespace
}  // namespace initrt
