// One safetensors file, right and in every way wrong.
#include <gtest/gtest.h>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/safetensors_header.h"
#include "tests/sharding/checkpoint/header_writers.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using testing::error_of;
using testing::MemoryFiles;
using testing::raw;
using testing::safetensors_file;

constexpr const char* kTwo =
    R"({"__metadata__": {"format": "pt"},
        "b": {"dtype": "F32", "shape": [3], "data_offsets": [8, 20]},
        "a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}})";

std::string error_in(const std::string& content) {
  MemoryFiles files;
  files.content["m.safetensors"] = content;
  const std::string text = error_of([&] {
    (void)open_file_set(files, {"safetensors", SharedBytes::Refused, read_safetensors_header},
                        "m.safetensors", "", {"", {"m.safetensors"}, {}, {}});
  });
  EXPECT_TRUE(text.starts_with("m.safetensors: ")) << text;
  return text;
}

std::string error_in_header(std::string_view json, std::size_t data_bytes = 8) {
  return error_in(safetensors_file(json, data_bytes));
}

/// A header of one tensor "a" of 8 bytes, with this dtype, shape and range.
std::string one(const std::string& dtype, const std::string& shape, const std::string& range) {
  return R"({"a": {"dtype": ")" + dtype + R"(", "shape": )" + shape + R"(, "data_offsets": )" +
         range + "}}";
}

TEST(Safetensors, TensorsAreWhereTheHeaderSays) {
  MemoryFiles files;
  files.content["dir/m.safetensors"] = safetensors_file(kTwo, 20);
  const Catalog catalog = open_checkpoint(files, "dir/m.safetensors");
  const std::uint64_t begin = 8 + std::string_view(kTwo).size();
  EXPECT_EQ(catalog.format, "safetensors");
  EXPECT_EQ(catalog.metadata, nlohmann::json({{"format", "pt"}}));
  EXPECT_TRUE(catalog.config.is_null());
  ASSERT_EQ(catalog.tensors.size(), 2u);
  EXPECT_EQ(catalog.tensors[0].name, "a");
  EXPECT_EQ(catalog.tensors[0].dtype, DType::BF16);
  EXPECT_EQ(catalog.tensors[0].shape, (std::vector<std::uint64_t>{2, 2}));
  EXPECT_EQ(catalog.tensors[0].parts[0].offset, begin);
  EXPECT_EQ(catalog.tensors[1].parts[0].offset, begin + 8);
  EXPECT_EQ(catalog.tensors[1].bytes(), 12u);
  EXPECT_EQ(catalog.files[0].path, "dir/m.safetensors");
  EXPECT_EQ(catalog.files[0].bytes, begin + 20);
}

TEST(Safetensors, ScalarsEmptyTensorsAndPaddedHeadersAreFine) {
  MemoryFiles files;
  files.content["m"] = safetensors_file(
      R"({"s": {"dtype": "F64", "shape": [], "data_offsets": [0, 8]},
          "e": {"dtype": "I64", "shape": [0, 5], "data_offsets": [8, 8]}, "__metadata__": null}   )",
      8);
  EXPECT_EQ(open_checkpoint(files, "m").tensors.size(), 2u);
  files.content["m"] = safetensors_file("{}", 0);
  EXPECT_EQ(open_checkpoint(files, "m").tensors.size(), 0u);
}

TEST(Safetensors, TheConfigBesideItIsReadWithTheGenerationConfig) {
  MemoryFiles files;
  files.content["d/model.safetensors"] = safetensors_file(kTwo, 20);
  files.content["d/config.json"] = R"({"model_type": "llama"})";
  files.content["d/generation_config.json"] = R"({"eos_token_id": [1, 2]})";
  const Catalog catalog = open_checkpoint(files, "d");
  EXPECT_EQ(catalog.config["model_type"], "llama");
  EXPECT_EQ(catalog.config["generation_config"]["eos_token_id"][1], 2);
  files.content["d/config.json"] = "{\"a\": }";
  EXPECT_EQ(error_of([&] { (void)open_checkpoint(files, "d"); }),
            "d/config.json: not valid JSON at byte 7");
}

TEST(Safetensors, AFileTooShortForItsHeaderIsTruncated) {
  EXPECT_EQ(error_in("1234567"),
            "m.safetensors: truncated: a safetensors file opens with 8 bytes of header length, "
            "this has 7");
  EXPECT_EQ(error_in(raw<std::uint64_t>(100) + "{}"),
            "m.safetensors: truncated: the header ends at byte 108, but the file has 10 bytes");
  EXPECT_EQ(error_in(raw<std::uint64_t>(~0ull) + "{}"),
            "m.safetensors: header of 18446744073709551615 bytes (byte 0) is longer than the "
            "100000000 that safetensors allows");
  EXPECT_NE(error_in(raw<std::uint64_t>(100'000'001) + "{}").find("longer than"),
            std::string::npos);
}

TEST(Safetensors, AHeaderThatIsNotAnObjectIsAnError) {
  EXPECT_EQ(error_in_header("[1]"),
            "m.safetensors: byte 8 is not the '{' that opens a safetensors header");
  EXPECT_EQ(error_in_header(""), error_in_header("[1]"));
  EXPECT_EQ(error_in_header("{\"a\": tru}"),
            "m.safetensors: the header is not valid JSON at byte 18");
  EXPECT_NE(error_in_header("{} x").find("not valid JSON at byte"), std::string::npos);
  EXPECT_NE(error_in_header("{\"\xff\": 1}").find("not valid JSON at byte"), std::string::npos);
  EXPECT_NE(error_in_header("{\"a\": 1e999}").find("not valid JSON at byte"), std::string::npos);
}

TEST(Safetensors, DeepNestingIsRefusedAtOnce) {
  std::string arrays = R"({"a": {"dtype": "F32", "data_offsets": [0, 8], "shape": )";
  arrays += std::string(2'000'000, '[');
  EXPECT_EQ(error_in_header(arrays),
            "m.safetensors: \"a\": an array in key \"shape\" is not expected");
  std::string objects;
  for (int i = 0; i < 200'000; ++i) objects += "{\"a\":";
  EXPECT_EQ(error_in_header(objects), "m.safetensors: tensor \"a\": unknown key \"a\"");
}

TEST(Safetensors, EntriesOfAnotherFormAreErrors) {
  EXPECT_EQ(error_in_header(R"({"a": 7})"), "m.safetensors: \"a\" is a number, not an object");
  EXPECT_EQ(error_in_header(R"({"a": null})"), "m.safetensors: \"a\" is null, not an object");
  EXPECT_EQ(error_in_header(R"({"a": []})"), "m.safetensors: \"a\" is an array, not an object");
  EXPECT_EQ(error_in_header(R"({"a": {"dtype": "F32", "shape": [2]}})"),
            "m.safetensors: tensor \"a\" lacks data_offsets");
  EXPECT_EQ(error_in_header(R"({"a": {}})"), "m.safetensors: tensor \"a\" lacks dtype");
  EXPECT_EQ(error_in_header(R"({"a": {"strides": [1]}})"),
            "m.safetensors: tensor \"a\": unknown key \"strides\"");
  EXPECT_EQ(error_in_header(R"({"__metadata__": {"n": 1}})"),
            "m.safetensors: \"__metadata__\": a number in key \"n\" is not expected");
  EXPECT_NE(error_in_header(R"({"__metadata__": []})").find("is an array"), std::string::npos);
  for (const char* dtype : {"[\"F32\"]", "1", "true", "{}"}) {
    EXPECT_NE(error_in_header(std::string(R"({"a": {"dtype": )") + dtype + "}}")
                  .find("in key \"dtype\" is not expected"),
              std::string::npos);
  }
}

TEST(Safetensors, NumbersThatAreNoSizesAreErrors) {
  for (const char* shape : {"[-2]", "[2.0]", "[\"2\"]", "[true]", "[null]", "[[2]]", "[{}]", "2",
                            "[18446744073709551616]"}) {
    EXPECT_NE(error_in_header(one("F32", shape, "[0, 8]")).find("in key \"shape\" is not expected"),
              std::string::npos)
        << shape;
  }
  std::string many = "[1";
  for (int i = 0; i < 64; ++i) many += ", 1";
  EXPECT_EQ(error_in_header(one("F64", many + "]", "[0, 8]")),
            "m.safetensors: tensor \"a\": more than 64 numbers in shape");
}

TEST(Safetensors, AKeyGivenTwiceIsAnError) {
  EXPECT_EQ(error_in_header(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                                "a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})"),
            "m.safetensors: tensor \"a\" appears twice in the header");
  EXPECT_EQ(error_in_header(R"({"a": {"dtype": "F32", "dtype": "F16"}})"),
            "m.safetensors: \"a\": key \"dtype\" appears twice");
  EXPECT_EQ(error_in_header(R"({"a": {"shape": [], "shape": []}})"),
            "m.safetensors: \"a\": key \"shape\" appears twice");
  EXPECT_EQ(error_in_header(R"({"__metadata__": {"k": "1", "k": "2"}})"),
            "m.safetensors: \"__metadata__\": key \"k\" appears twice");
}

TEST(Safetensors, EveryDtypeOfTheFormatIsListed) {
  const std::pair<const char*, int> bits[] = {
      {"BOOL", 8},        {"F4", 4},          {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
      {"I8", 8},          {"F8_E5M2", 8},     {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"I16", 16},
      {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"U16", 16},    {"F16", 16},    {"BF16", 16},
      {"I32", 32},        {"U32", 32},        {"F32", 32},    {"C64", 64},    {"F64", 64},
      {"I64", 64},        {"U64", 64}};
  for (const auto& [dtype, width] : bits) {
    MemoryFiles files;
    const std::string header = fmt::format(
        R"({{"a": {{"dtype": "{}", "shape": [8], "data_offsets": [0, {}]}}}})", dtype, width);
    files.content["m.safetensors"] =
        testing::safetensors_file(header, static_cast<std::size_t>(width));
    const Catalog catalog = open_checkpoint(files, "m.safetensors");
    EXPECT_EQ(name(catalog.tensors[0].dtype), dtype);
  }
}

TEST(Safetensors, UnknownDtypesAreErrors) {
  EXPECT_EQ(error_in_header(one("F3", "[2]", "[0, 8]")),
            "m.safetensors: tensor \"a\": dtype \"F3\" is not supported");
  // A block type of GGUF's is none of safetensors'.
  EXPECT_EQ(error_in_header(one("Q8_0", "[32]", "[0, 34]")),
            "m.safetensors: tensor \"a\": dtype \"Q8_0\" is not supported");
}

TEST(Safetensors, RangesMustFollowOneAnotherToTheFilesEnd) {
  EXPECT_EQ(error_in_header(one("F32", "[2]", "[8, 0]")),
            "m.safetensors: tensor \"a\": data_offsets [8, 0] are not a [begin, end]");
  EXPECT_NE(error_in_header(one("F32", "[2]", "[0, 4, 8]")).find("not a [begin, end]"),
            std::string::npos);
  EXPECT_EQ(error_in_header(one("F32", "[1]", "[4, 8]")),
            "m.safetensors: tensor \"a\" begins at byte 4 of the data, but a hole opens at byte 0");
  EXPECT_EQ(error_in_header(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                                "b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})"),
            "m.safetensors: tensor \"b\" begins at byte 0 of the data, but the tensor before it "
            "ends at byte 4");
  EXPECT_NE(error_in_header(one("F32", "[3]", "[0, 12]")).find("truncated: tensor \"a\" ends at"),
            std::string::npos);
  EXPECT_NE(error_in_header(one("F32", "[3]", "[0, 18446744073709551615]")).find("truncated"),
            std::string::npos);
  EXPECT_NE(error_in_header(one("F32", "[1]", "[0, 4]")).find("4 bytes follow the last tensor"),
            std::string::npos);
}

TEST(Safetensors, BytesThatDisagreeWithDtypeAndShapeAreErrors) {
  EXPECT_EQ(error_in_header(one("F32", "[3]", "[0, 8]")),
            "m.safetensors: tensor \"a\": 8 bytes, but F32 [3] takes 12");
  EXPECT_EQ(error_in_header(one("BF16", "[2]", "[0, 8]")),
            "m.safetensors: tensor \"a\": 8 bytes, but BF16 [2] takes 4");
  EXPECT_NE(error_in_header(one("F32", "[4294967296, 4294967296]", "[0, 8]")).find("64 bits"),
            std::string::npos);
}

TEST(Safetensors, DetectionLooksAtTheContent) {
  MemoryFiles files;
  files.content["a"] = safetensors_file("{}", 0);
  files.content["b"] = raw<std::uint64_t>(1ull << 41) + "{";
  files.content["c"] = "{\"a\": 1, \"b\": 2}";
  files.content["d"] = "12345678";
  EXPECT_EQ(safetensors_candidates(files, "a").size(), 1u);
  EXPECT_TRUE(safetensors_candidates(files, "b").empty());
  EXPECT_TRUE(safetensors_candidates(files, "c").empty());
  EXPECT_TRUE(safetensors_candidates(files, "d").empty());
  EXPECT_TRUE(safetensors_candidates(files, "none").empty());
}

}  // namespace
}  // namespace initrt
