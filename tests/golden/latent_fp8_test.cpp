// DeepSeek's checkpoints as they are published, in FP8 with a scale for each block: what makes keys
// and values is one weight, of which keys' part is held transposed. The units are those of the
// numbers that codes and scales are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "runtime/convert/convert.h"
#include "runtime/export/convert.h"
#include "runtime/load/loader.h"
#include "tests/golden/family_checkpoint.h"
#include "tests/support/process.h"
#include "tests/support/rank_model.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/units.h"

namespace initrt::testing {
namespace {

constexpr std::uint64_t kBlock = 8;

std::uint64_t blocks(std::uint64_t elements) { return (elements + kBlock - 1) / kBlock; }

// Random finite codes and scales of a matrix, and the numbers that they are.
struct Fp8 {
  std::string codes;
  std::vector<float> scales, numbers;
};

Fp8 make_fp8(std::uint64_t rows, std::uint64_t columns, std::mt19937& rng) {
  Fp8 made;
  made.scales.resize(blocks(rows) * blocks(columns));
  for (float& scale : made.scales) {
    scale = std::ldexp(1.0f + static_cast<float>(rng() % 1000) / 1000.0f, -12);
  }
  for (std::uint64_t i = 0; i < rows * columns; ++i) {
    const std::uint32_t code = rng() % 256;
    made.codes += static_cast<char>((code & 0x7f) == 0x7f ? code & 0x80 : code);  // no NaN
  }
  made.numbers.resize(rows * columns);
  convert(std::as_bytes(std::span(made.codes)), DType::F8_E4M3, 0, made.numbers.size(),
          reinterpret_cast<std::byte*>(made.numbers.data()), DType::F32);
  for (std::uint64_t i = 0; i < made.numbers.size(); ++i) {
    const std::uint64_t row = i / columns, column = i % columns;
    made.numbers[i] *= made.scales[row / kBlock * blocks(columns) + column / kBlock];
  }
  return made;
}

class LatentFp8 : public ::testing::TestWithParam<std::string> {
 protected:
  LatentFp8() {
    const std::string family = source_path("tests/golden/families/") + GetParam();
    std::mt19937 rng(3);
    SafetensorsWriter codes, numbers;
    for (const auto& [name, tensor] : family_tensors(family + "/tensors.json")) {
      if (!name.ends_with("_proj.weight") && !name.ends_with("_with_mqa.weight")) {
        codes.add(name, DType::F32, tensor.shape, tensor.values);
        numbers.add(name, DType::F32, tensor.shape, tensor.values);
        continue;
      }
      const std::uint64_t rows = tensor.shape[0], columns = tensor.shape[1];
      const Fp8 made = make_fp8(rows, columns, rng);
      codes.add_bytes(name, DType::F8_E4M3, tensor.shape, made.codes);
      codes.add(name + "_scale_inv", DType::F32, {blocks(rows), blocks(columns)}, made.scales);
      numbers.add(name, DType::F32, tensor.shape, made.numbers);
    }
    codes.write(published_.path() + "/model.safetensors");
    numbers.write(plain_.path() + "/model.safetensors");
    auto config = nlohmann::json::parse(contents(family + "/config.json"));
    write_file(plain_.path() + "/config.json", config.dump());
    config["quantization_config"] = {{"quant_method", "fp8"},
                                     {"fmt", "e4m3"},
                                     {"activation_scheme", "dynamic"},
                                     {"weight_block_size", {kBlock, kBlock}}};
    write_file(published_.path() + "/config.json", config.dump());
  }

  const TemporaryDirectory published_, plain_;
};

INSTANTIATE_TEST_SUITE_P(Golden, LatentFp8,
                         ::testing::Values("deepseek_v3", "deepseek_v3_plain_queries",
                                           "glm4_moe_lite"),
                         [](const auto& of) { return of.param; });

TEST_P(LatentFp8, HasTheUnitsOfItsNumbers) {
  const std::pair<const char*, const char*> holdings[] = {
      {"32-true", "none"}, {"bf16-true", "none"}, {"32-true", "nf4"}, {"bf16-true", "llm.int8"}};
  for (const auto& [precision, quantize] : holdings) {
    const OpenModel codes = open_checkpoint_as(published_.path(), precision, quantize);
    const OpenModel numbers = open_checkpoint_as(plain_.path(), precision, quantize);
    EXPECT_THAT(codes.bindings.unexpected, ::testing::IsEmpty());
    const Units expected = units_of(numbers, mapped_ranks(1));
    for (const std::uint32_t ranks : {1u, 2u, 3u, 7u}) {
      EXPECT_TRUE(units_of(codes, mapped_ranks(ranks)) == expected)
          << precision << ", " << quantize << ", ranks " << ranks;
    }
  }
}

// Ranks whose rows begin or end within a head read that head's part whole, and blocks that two
// ranks have rows of are read by both.
TEST_P(LatentFp8, IsReadOnceByRanksOfWholeHeads) {
  const OpenModel model = open_checkpoint_as(published_.path(), "bf16-true");
  const auto read_by = [&](std::uint32_t ranks) {
    return static_cast<double>(bytes_read(model, ranks, 1u << 20)) /
           static_cast<double>(model.bindings.payload_bytes);
  };
  EXPECT_LE(read_by(1), 1.1);
  EXPECT_LE(read_by(2), 1.1);
  EXPECT_LE(read_by(4), 1.1);
}

TEST_P(LatentFp8, IsConvertedToItsNumbers) {
  const TemporaryDirectory to;
  ConvertOptions options;
  options.model.path = published_.path();
  options.to = to.path() + "/converted";
  options.precision = "32-true";
  convert_to_safetensors(options);
  const OpenModel converted = open_checkpoint_as(options.to, "32-true");
  const OpenModel numbers = open_checkpoint_as(plain_.path(), "32-true");
  EXPECT_TRUE(units_of(converted, mapped_ranks(1)) == units_of(numbers, mapped_ranks(1)));
}

}  // namespace
}  // namespace initrt::testing
