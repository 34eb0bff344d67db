// Scales that become codes against those of bitsandbytes, bit by bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/convert/dynamic_map.h"
#include "runtime/convert/scale_codes.h"
#include "runtime/storage/local_files.h"
#include "sharding/checkpoint/catalog.h"
#include "tests/support/source_path.h"

namespace initrt {
namespace {

/// Scales of a matrix, and what bitsandbytes makes of them.
struct Case {
  std::string name;
  std::uint64_t rows = 0, row_scales = 0;
  std::vector<float> scales, magnitudes, values;
  float mean = 0, offset = 0;
  std::vector<std::byte> codes;

  [[nodiscard]] std::uint64_t columns() const { return row_scales * kFourBitBlock; }
  [[nodiscard]] std::vector<std::byte> coded(float with_offset) const {
    std::vector<std::byte> out(rows * coded_scale_row(columns()).bytes());
    code_scales(scales, 0, columns(), with_offset, block_magnitudes(scales, 0, with_offset),
                out.data());
    return out;
  }
};

class References {
 public:
  [[nodiscard]] std::vector<std::byte> bytes(const std::string& name) {
    const TensorEntry& tensor = catalog_.tensors.at(static_cast<std::size_t>(catalog_.find(name)));
    return files_.read(path_, tensor.parts[0].offset, tensor.bytes());
  }
  [[nodiscard]] std::vector<float> floats(const std::string& name) {
    const std::vector<std::byte> read = bytes(name);
    std::vector<float> values(read.size() / sizeof(float));
    std::memcpy(values.data(), read.data(), read.size());
    return values;
  }
  [[nodiscard]] std::vector<Case> cases() {
    std::vector<Case> all;
    for (const TensorEntry& tensor : catalog_.tensors) {
      if (!tensor.name.ends_with(".in")) continue;
      Case one;
      one.name = tensor.name.substr(0, tensor.name.size() - 3);
      one.rows = tensor.shape[0];
      one.row_scales = tensor.shape[1];
      one.scales = floats(tensor.name);
      one.magnitudes = floats(one.name + ".magnitudes");
      one.values = floats(one.name + ".values");
      one.mean = floats(one.name + ".mean").at(0);
      one.offset = floats(one.name + ".offset").at(0);
      one.codes = bytes(one.name + ".codes");
      all.push_back(std::move(one));
    }
    return all;
  }

 private:
  LocalFiles files_;
  std::string path_ = testing::source_path("tests/golden/bitsandbytes/scales.safetensors");
  Catalog catalog_ = open_checkpoint(files_, path_);
};

bool same_bits(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

TEST(ScaleCodesGolden, TheMapIsThatOfBitsandbytes) {
  const std::vector<float> map = References().floats("map");
  ASSERT_EQ(map.size(), 256u);
  for (std::size_t i = 0; i < map.size(); ++i) EXPECT_TRUE(same_bits(dynamic_map()[i], map[i]));
}

// With the offset that torch.mean() makes, everything.
TEST(ScaleCodesGolden, CodesMagnitudesAndValuesAreThoseOfBitsandbytes) {
  const std::vector<Case> all = References().cases();
  ASSERT_EQ(all.size(), 10u);
  for (const Case& one : all) {
    const CodedScaleRow places = coded_scale_row(one.columns());
    const std::vector<std::byte> coded = one.coded(one.offset);
    const std::vector<float> magnitudes = block_magnitudes(one.scales, 0, one.offset);
    ASSERT_EQ(magnitudes.size(), one.magnitudes.size()) << one.name;
    for (std::size_t i = 0; i < magnitudes.size(); ++i) {
      EXPECT_TRUE(same_bits(magnitudes[i], one.magnitudes[i])) << one.name << ", block " << i;
    }
    for (std::uint64_t row = 0; row < one.rows; ++row) {
      const std::byte* const at = coded.data() + row * places.bytes();
      std::vector<float> values(one.row_scales);
      decode_scales(at, one.columns(), values.data());
      for (std::uint64_t i = 0; i < one.row_scales; ++i) {
        const std::uint64_t flat = row * one.row_scales + i;
        EXPECT_EQ(at[CodedScaleRow::kCodes + i], one.codes[flat]) << one.name << ", " << flat;
        EXPECT_TRUE(same_bits(values[i], one.values[flat])) << one.name << ", " << flat;
      }
    }
  }
}

// The offset itself is rounded once, where torch.mean() rounds as it adds: the same for most of
// these, real weights among them, and for the others next to it.
TEST(ScaleCodesGolden, TheMeanIsRoundedOnceAndTorchsIsNearIt) {
  std::vector<std::string> alike;
  for (const Case& one : References().cases()) {
    const float mean = mean_of(exact_sum(one.scales), one.scales.size());
    EXPECT_TRUE(same_bits(mean, one.mean)) << one.name << ": " << mean << ", " << one.mean;
    EXPECT_LE(std::abs(mean - one.offset), std::abs(mean) * 0x1p-22f) << one.name;
    if (!same_bits(mean, one.offset)) continue;
    alike.push_back(one.name);
    std::vector<std::byte> all(one.rows * coded_scale_row(one.columns()).bytes());
    code_all_scales(one.scales, one.columns(), all.data());
    EXPECT_TRUE(all == one.coded(one.offset)) << one.name;
  }
  EXPECT_THAT(alike, ::testing::UnorderedElementsAre("q_proj", "down_proj", "zeros", "denormal",
                                                     "one", "rising"));
}

}  // namespace
}  // namespace initrt
