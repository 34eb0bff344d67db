// Small LLaMAs whose weights are GPTQ's and AWQ's, which lie by columns: with a small staging ring
// they are made some columns at a time, with a large one at once. What lies in the units is the
// same.
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <ostream>
#include <random>

#include "tests/support/safetensors_writer.h"
#include "tests/support/small_llama.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/units.h"

namespace initrt::testing {
namespace {

struct Packing {
  const char* name;
  bool awq;
  std::uint64_t bits;
  std::int64_t group;
  bool says_order;  ///< whether there is "g_idx"
};

void PrintTo(const Packing& packing, std::ostream* out) { *out << packing.name; }

constexpr Packing kPackings[] = {{"Gptq", false, 4, 64, false},
                                 {"GptqWithItsOrder", false, 4, 32, true},
                                 {"GptqOfRows", false, 8, -1, false},
                                 {"Awq", true, 4, 64, false}};

SmallLlama large_rows() {
  SmallLlama model;
  model.hidden = 256;
  model.intermediate = 480;
  model.layers = 1;
  model.heads = 4;
  model.head_size = 64;
  model.vocabulary = 64;
  return model;
}

class ColumnCodes : public ::testing::TestWithParam<Packing> {
 protected:
  ColumnCodes() {
    const SmallLlama shape = large_rows();
    for (const SmallTensor& tensor : random_tensors(shape, 1)) {
      const bool plain = tensor.vector || tensor.name.find(".layers.") == std::string::npos;
      if (!plain) {
        add_codes(tensor);
        continue;
      }
      const auto dimensions =
          tensor.vector ? std::vector{tensor.rows} : std::vector{tensor.rows, tensor.columns};
      writer_.add(tensor.name, DType::BF16, dimensions, tensor.values);
    }
    writer_.write(directory_.file("model.safetensors"));
    nlohmann::json config = config_of(shape);
    config["quantization_config"] = {{"quant_method", GetParam().awq ? "awq" : "gptq"},
                                     {"bits", GetParam().bits},
                                     {"group_size", GetParam().group},
                                     {"desc_act", false}};
    write_file(directory_.file("config.json"), config.dump());
  }

  [[nodiscard]] OpenModel open(const char* precision, const char* quantize) const {
    return open_checkpoint_as(directory_.path(), precision, quantize);
  }

 private:
  void add_codes(const SmallTensor& tensor) {
    const auto [name, awq, bits, group, says_order] = GetParam();
    const std::uint64_t per_word = 32 / bits, rows = tensor.rows, columns = tensor.columns;
    const std::uint64_t block = group < 0 ? columns : static_cast<std::uint64_t>(group);
    const std::uint64_t groups = (columns + block - 1) / block;
    const std::string module = tensor.name.substr(0, tensor.name.rfind("weight"));
    const auto add = [&](const char* leaf, DType dtype, const std::vector<std::uint64_t>& shape,
                         const auto& make) {
      std::uint64_t elements = 1;
      for (const std::uint64_t side : shape) elements *= side;
      std::string bytes(bytes_of(dtype, elements), '\0');
      for (std::uint64_t i = 0; i < elements; ++i) {
        const auto value = make(i);
        std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
      }
      writer_.add_bytes(module + leaf, dtype, shape, bytes);
    };
    const auto words = [&](std::uint64_t) { return static_cast<std::uint32_t>(random_()); };
    add("qweight", DType::I32,
        awq ? std::vector{columns, rows / 8} : std::vector{columns / per_word, rows}, words);
    add("qzeros", DType::I32, {groups, rows / per_word}, words);
    add("scales", DType::F16, {groups, rows}, [&](std::uint64_t) {
      return static_cast<std::uint16_t>(0x2000 + random_() % 0x400);  // 2^-7 to 2^-6
    });
    if (!says_order) return;
    add("g_idx", DType::I32, {columns},
        [&](std::uint64_t i) { return static_cast<std::int32_t>(i / block); });
  }

  const TemporaryDirectory directory_;
  SafetensorsWriter writer_;
  std::mt19937_64 random_{3};
};

INSTANTIATE_TEST_SUITE_P(, ColumnCodes, ::testing::ValuesIn(kPackings),
                         [](const auto& of) { return std::string(of.param.name); });

TEST_P(ColumnCodes, GiveTheSameUnitsForAnyStagingAndNumberOfRanks) {
  for (const auto& [precision, quantize] : {std::pair{"32-true", "none"},
                                            {"bf16-true", "none"},
                                            {"16-true", "nf4"},
                                            {"bf16-true", "llm.int8"}}) {
    const OpenModel model = open(precision, quantize);
    Setting at_once;
    at_once.staging = 16u << 20;
    const Units expected = units_of(model, at_once);
    for (const std::uint64_t staging : {64u << 10, 256u << 10}) {
      for (const std::uint32_t world : {1u, 3u}) {
        Setting setting = mapped_ranks(world);
        setting.staging = staging;
        EXPECT_TRUE(units_of(model, setting) == expected)
            << precision << ", " << quantize << ", " << setting;
      }
    }
  }
}

TEST_P(ColumnCodes, AreReadOnceByARankAlone) {
  const OpenModel model = open("bf16-true", "none");
  const double payload = static_cast<double>(model.bindings.payload_bytes);
  EXPECT_LE(static_cast<double>(bytes_read(model, 1, 16u << 20)), 1.001 * payload);
  // Of matrices as small as these, what lies between a slab's codes and scales is little enough to
  // be read with them.
  EXPECT_LE(static_cast<double>(bytes_read(model, 1, 1u << 20)), 1.1 * payload);
}

}  // namespace
}  // namespace initrt::testing
