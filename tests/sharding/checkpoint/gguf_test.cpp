// GGUF files, right and in every way wrong; whole ones and split ones.
#include <gtest/gtest.h>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/formats.h"
#include "tests/sharding/checkpoint/header_writers.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using testing::error_of;
using testing::gguf_string;
using testing::GgufWriter;
using testing::MemoryFiles;
using testing::raw;

std::string error_in(const std::string& content) {
  MemoryFiles files;
  files.content["m.gguf"] = content;
  const std::string text = error_of([&] { (void)open_gguf(files, "m.gguf"); });
  EXPECT_TRUE(text.starts_with("m.gguf: ")) << text;
  return text;
}

/// Whether the text says all of this.
void expect_says(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) EXPECT_NE(text.find(part), std::string::npos) << text;
}

GgufWriter two_tensors() {
  GgufWriter writer;
  writer.text("general.name", "small")
      .pair("flag", testing::kBool, raw<std::uint8_t>(1))
      .pair("list", testing::kArray,
            raw<std::uint32_t>(testing::kString) + raw<std::uint64_t>(2) + gguf_string("x") +
                gguf_string("y"))
      .pair("nested", testing::kArray,
            raw<std::uint32_t>(testing::kArray) + raw<std::uint64_t>(1) +
                raw<std::uint32_t>(testing::kI32) + raw<std::uint64_t>(2) + raw(-1) + raw(5))
      .tensor("b", {32, 2}, testing::kGgmlQ4_1, 32)
      .tensor("a", {3}, testing::kGgmlF32, 0);
  return writer;
}

TEST(Gguf, TensorsAndMetadataAreWhatTheFileSays) {
  for (const std::uint32_t version : {2u, 3u}) {
    MemoryFiles files;
    GgufWriter writer = two_tensors();
    writer.version = version;
    files.content["m.gguf"] = writer.file(72);
    const Catalog catalog = open_checkpoint(files, "m.gguf");
    const std::uint64_t data = files.content["m.gguf"].size() - 72;
    EXPECT_EQ(catalog.format, "gguf");
    EXPECT_EQ(catalog.metadata["general.name"], "small");
    EXPECT_EQ(catalog.metadata["flag"], true);
    EXPECT_EQ(catalog.metadata["list"], nlohmann::json({"x", "y"}));
    EXPECT_EQ(catalog.metadata["nested"], nlohmann::json::parse("[[-1, 5]]"));
    ASSERT_EQ(catalog.tensors.size(), 2u);
    EXPECT_EQ(catalog.tensors[0].name, "a");
    EXPECT_EQ(catalog.tensors[0].parts[0].offset, data);
    EXPECT_EQ(catalog.tensors[1].dtype, DType::Q4_1);
    EXPECT_EQ(catalog.tensors[1].shape, (std::vector<std::uint64_t>{2, 32}));
    EXPECT_EQ(catalog.tensors[1].parts[0].offset, data + 32);
    EXPECT_EQ(catalog.tensors[1].bytes(), 40u);
    EXPECT_TRUE(catalog.config.is_null());
  }
}

TEST(Gguf, TheAlignmentIsTheFilesOwn) {
  MemoryFiles files;
  GgufWriter writer;
  writer.alignment = 512;
  writer.u32("general.alignment", 512).tensor("a", {1}, testing::kGgmlF32, 512);
  files.content["m.gguf"] = writer.file(516);
  EXPECT_EQ(open_checkpoint(files, "m.gguf").tensors[0].parts[0].offset,
            files.content["m.gguf"].size() - 4);
  EXPECT_EQ(error_in(GgufWriter()
                         .u32("general.alignment", 512)
                         .tensor("a", {1}, testing::kGgmlF32, 32)
                         .file(600)),
            "m.gguf: tensor \"a\": offset 32 is not a multiple of the alignment 512");
}

TEST(Gguf, AnAlignmentThatIsNoPowerOfTwoIsAnError) {
  for (const std::uint32_t alignment : {0u, 3u, 48u, 0x80000000u}) {
    EXPECT_EQ(error_in(GgufWriter().u32("general.alignment", alignment).file(0)),
              "m.gguf: metadata key \"general.alignment\" is not a power of two");
  }
  EXPECT_EQ(error_in(GgufWriter().text("general.alignment", "32").file(0)),
            "m.gguf: metadata key \"general.alignment\" is not a power of two");
}

TEST(Gguf, WrongMagicAndVersionsAreErrors) {
  GgufWriter writer = two_tensors();
  writer.magic = "GGML";
  EXPECT_EQ(error_in(writer.file(72)), "m.gguf: wrong magic \"GGML\" at byte 0: expected \"GGUF\"");
  writer.magic = "GGUF";
  for (const std::uint32_t version : {0u, 1u, 4u, 77u}) {
    writer.version = version;
    EXPECT_EQ(error_in(writer.file(72)), "m.gguf: GGUF version " + std::to_string(version) +
                                             " at byte 4 is not supported: expected 2 or 3");
  }
  writer.version = 0x03000000;
  EXPECT_EQ(error_in(writer.file(72)), "m.gguf: a big-endian GGUF file, which is not supported");
}

TEST(Gguf, EveryTruncationIsAnErrorThatSaysSo) {
  const std::string whole = two_tensors().file(72);
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    expect_says(error_in(whole.substr(0, bytes)), {"truncated"});
  }
  expect_says(error_in(whole.substr(0, 20)),
              {"truncated at byte 16: the number of metadata keys does not fit in the 4 bytes"});
  expect_says(error_in(whole.substr(0, whole.size() - 1)),
              {"tensor \"b\": the file is truncated", "40 bytes at byte"});
}

TEST(Gguf, CountsThatCannotBeTrueAreErrorsBeforeAnyMemoryIsTaken) {
  GgufWriter keys;
  keys.extra_keys = 1ull << 60;
  expect_says(error_in(keys.file(0)), {"a list of 1152921504606846976 metadata keys"});
  GgufWriter tensors;
  tensors.extra_tensors = ~0ull;
  expect_says(error_in(tensors.file(0)), {"a list of 18446744073709551615 tensors"});
  expect_says(error_in(GgufWriter()
                           .pair("list", testing::kArray,
                                 raw<std::uint32_t>(testing::kU8) + raw<std::uint64_t>(1ull << 50))
                           .file(0)),
              {"metadata key \"list\", an array of 1125899906842624 values, does not fit"});
}

TEST(Gguf, StringLengthsThatCannotBeTrueAreErrors) {
  expect_says(
      error_in(GgufWriter().pair("text", testing::kString, raw<std::uint64_t>(1ull << 40)).file(0)),
      {"metadata key \"text\" of 1099511627776 bytes is longer than"});
  expect_says(
      error_in(GgufWriter().pair("text", testing::kString, raw<std::uint64_t>(5000)).file(0)),
      {"truncated at byte", "metadata key \"text\" does not fit"});
  expect_says(error_in(GgufWriter().text(std::string(65'536, 'k'), "v").file(0)),
              {"a metadata key of 65536 bytes is longer than the 65535 allowed"});
  expect_says(
      error_in(GgufWriter().tensor(std::string(65'536, 't'), {1}, testing::kGgmlF32, 0).file(4)),
      {"a tensor's name of 65536 bytes is longer than the 65535 allowed"});
}

TEST(Gguf, ValuesThatAreNoneAreErrors) {
  expect_says(error_in(GgufWriter().pair("k", 13, raw<std::uint64_t>(0)).file(0)),
              {"metadata key \"k\" at byte", "unknown value type 13"});
  expect_says(error_in(GgufWriter().pair("k", testing::kBool, raw<std::uint8_t>(2)).file(0)),
              {"metadata key \"k\" at byte 37: a boolean of 2"});
  std::string nested;
  for (int i = 0; i < 1000; ++i) {
    nested += raw<std::uint32_t>(testing::kArray) + raw<std::uint64_t>(1);
  }
  EXPECT_EQ(error_in(GgufWriter().pair("k", testing::kArray, nested).file(0)),
            "m.gguf: metadata key \"k\": arrays nested more than 4 deep");
}

TEST(Gguf, NamesGivenTwiceAreErrors) {
  EXPECT_EQ(error_in(GgufWriter().u32("k", 1).u32("k", 1).file(0)),
            "m.gguf: metadata key \"k\" appears twice");
  EXPECT_EQ(error_in(GgufWriter()
                         .tensor("a", {1}, testing::kGgmlF32, 0)
                         .tensor("a", {1}, testing::kGgmlF32, 32)
                         .file(64)),
            "m.gguf: tensor \"a\" appears twice, the first time in m.gguf");
}

TEST(Gguf, HostileNamesStayOnOneLine) {
  expect_says(error_in(GgufWriter().pair("a\nb\x1b[2J", 13, "").file(0)),
              {"metadata key \"a\\nb\\u001b[2J\""});
  expect_says(error_in(GgufWriter().tensor("a\nb", {1}, 77, 0).file(0)),
              {"tensor \"a\\nb\": unknown ggml type 77"});
}

std::string tensor_error(const std::vector<std::uint64_t>& dimensions, std::uint32_t type,
                         std::uint64_t offset = 0) {
  return error_in(GgufWriter().tensor("a", dimensions, type, offset).file(64));
}

TEST(Gguf, ShapesThatOverflowAreErrors) {
  expect_says(tensor_error({1ull << 32, 1ull << 32}, testing::kGgmlF32),
              {"tensor \"a\"", "has more elements than 64 bits count"});
  expect_says(tensor_error({1ull << 62}, testing::kGgmlF32), {"tensor \"a\"", "overflows"});
  expect_says(tensor_error(std::vector<std::uint64_t>(9, 1), testing::kGgmlF32),
              {"tensor \"a\" at byte", "9 dimensions, at most 8 are read"});
}

TEST(Gguf, TypesThatAreNotKnownAreNamed) {
  EXPECT_EQ(tensor_error({32}, testing::kGgmlQ8_1),
            "m.gguf: tensor \"a\": ggml type Q8_1 (9) is not supported");
  EXPECT_EQ(tensor_error({32}, 5), "m.gguf: tensor \"a\": unknown ggml type 5");
  expect_says(tensor_error({33, 32}, testing::kGgmlQ4_1),
              {"tensor \"a\": rows of 33 elements are not a whole number of Q4_1 blocks"});
  expect_says(tensor_error({33}, testing::kGgmlQ4_1), {"tensor \"a\"", "Q4_1 blocks of 32"});
}

TEST(Gguf, OffsetsOutsideTheFileAreErrors) {
  expect_says(tensor_error({1}, testing::kGgmlF32, 64), {"tensor \"a\": the file is truncated"});
  expect_says(tensor_error({1}, testing::kGgmlF32, ~0ull - 31),
              {"tensor \"a\": its offset overflows"});
  expect_says(error_in(GgufWriter()
                           .tensor("a", {16}, testing::kGgmlF32, 0)
                           .tensor("b", {16}, testing::kGgmlF32, 32)
                           .file(96)),
              {"tensor \"b\" at byte", "overlaps tensor \"a\", which ends at byte"});
}

/// Piece `number` of a model split in `count`, with one tensor.
std::string piece(std::uint16_t number, std::uint16_t count, const std::string& tensor) {
  GgufWriter writer;
  writer.pair("split.no", 2, raw(static_cast<std::uint16_t>(number - 1)))
      .pair("split.count", 2, raw(count))
      .pair("split.tensors.count", testing::kI32, raw<std::int32_t>(count));
  return writer.tensor(tensor, {1}, testing::kGgmlF32, 0).file(4);
}

MemoryFiles split_model() {
  MemoryFiles files;
  files.content["d/m-00001-of-00003.gguf"] = piece(1, 3, "a");
  files.content["d/m-00002-of-00003.gguf"] = piece(2, 3, "b");
  files.content["d/m-00003-of-00003.gguf"] = piece(3, 3, "c");
  return files;
}

std::string split_error(MemoryFiles files, const std::string& path = "d") {
  return error_of([&] { (void)open_checkpoint(files, path); });
}

TEST(GgufSplit, OpensFromTheDirectoryOrAnyPiece) {
  MemoryFiles files = split_model();
  for (const char* path : {"d", "d/m-00001-of-00003.gguf", "d/m-00003-of-00003.gguf"}) {
    const Catalog catalog = open_checkpoint(files, path);
    ASSERT_EQ(catalog.files.size(), 3u);
    EXPECT_EQ(catalog.tensors[2].name, "c");
    EXPECT_EQ(catalog.tensors[2].parts[0].file, 2u);
  }
}

TEST(GgufSplit, MissingAndWrongPiecesAreErrors) {
  MemoryFiles files = split_model();
  files.content.erase("d/m-00002-of-00003.gguf");
  expect_says(split_error(files), {"d/m-00002-of-00003.gguf: missing: piece 2 of 3"});
  files = split_model();
  files.content["d/m-00002-of-00003.gguf"] = piece(3, 3, "b");
  EXPECT_EQ(split_error(files),
            "d/m-00002-of-00003.gguf: its metadata does not say that it is piece 2 of 3");
  files = split_model();
  files.content["d/m-00002-of-00003.gguf"] = piece(2, 3, "a");
  expect_says(split_error(files), {"d/m-00002-of-00003.gguf: tensor \"a\" appears twice"});
  files = split_model();
  files.content["d/m-00002-of-00003.gguf"] =
      GgufWriter().u32("split.no", 1).u32("split.count", 3).file(0);
  expect_says(split_error(files), {"its pieces hold 2 tensors, expected 3"});
}

TEST(GgufSplit, APieceUnderAnotherNameIsAnError) {
  MemoryFiles files;
  files.content["m.gguf"] = piece(1, 3, "a");
  expect_says(split_error(files, "m.gguf"), {"m.gguf: a piece of a GGUF file split in 3"});
  files.content["m.gguf"] = GgufWriter().text("split.count", "3").file(0);
  EXPECT_EQ(split_error(files, "m.gguf"), "m.gguf: metadata key \"split.count\" is not a count");
  files.content["m.gguf"] = GgufWriter().pair("split.count", testing::kI32, raw(-3)).file(0);
  EXPECT_EQ(split_error(files, "m.gguf"), "m.gguf: metadata key \"split.count\" is not a count");
}

TEST(GgufSplit, SeveralModelsInADirectoryAreAnError) {
  MemoryFiles files = split_model();
  files.content["d/other.gguf"] = two_tensors().file(72);
  expect_says(
      split_error(files),
      {"d: several GGUF models, name the file of one: ", "m-00001-of-00003.gguf", "other.gguf"});
}

}  // namespace
}  // namespace initrt
