// Weights that are quantized while they stream: what lies in the units, whatever reads them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "runtime/convert/quantize.h"
#include "tests/sharding/errors.h"
#include "tests/support/small_checkpoint.h"
#include "tests/support/units.h"

namespace initrt::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

// Rows of 52 to 76 columns, not all of them a multiple of a block.
SmallLlama wide_llama() {
  SmallLlama model;
  model.intermediate = 76;
  return model;
}

class QuantizedUnits : public ::testing::TestWithParam<std::string> {
 protected:
  const SmallCheckpoint checkpoint_{wide_llama(), DType::F32, 5};

  [[nodiscard]] OpenModel open(const std::string& precision) const {
    return open_checkpoint_as(checkpoint_.directory.path(), precision, GetParam());
  }
};

INSTANTIATE_TEST_SUITE_P(Methods, QuantizedUnits, ::testing::Values("llm.int8", "nf4", "fp4"),
                         [](const auto& of) {
                           std::string text = of.param;
                           std::erase(text, '.');
                           return text;
                         });

// What quantize_rows() makes of the same unit in the precision.
std::vector<std::byte> quantized(const OpenModel& model, const Layout& plain, std::uint32_t unit,
                                 const std::vector<std::byte>& bytes) {
  const UnitLayout& places = model.layout.units[unit];
  std::vector<std::byte> out(places.bytes);
  for (std::size_t i = 0; i < places.params.size(); ++i) {
    const ParamPlace& place = places.params[i];
    const ParamPlace& before = plain.units[unit].params[i];
    const std::uint64_t columns = model.graph.tensor_of(model.graph.units[unit].params[i]).columns;
    const auto rows = std::span(bytes).subspan(before.offset, before.bytes());
    if (place.format == WeightFormat::Plain) {
      std::memcpy(out.data() + place.offset, rows.data(), rows.size());
    } else {
      quantize_rows(place.format, rows, plain.dtype, place.rows, columns, out.data() + place.offset,
                    out.data() + place.scales_offset);
    }
  }
  return out;
}

TEST_P(QuantizedUnits, AreWhatTheRowsInThePrecisionAreQuantizedTo) {
  for (const char* precision : {"32-true", "bf16-true", "16-true"}) {
    const OpenModel model = open(precision);
    const OpenModel plain = open_checkpoint_as(checkpoint_.directory.path(), precision);
    EXPECT_LT(model.layout.bytes(), plain.layout.bytes());
    EXPECT_TRUE(model.layout.formats().quantized());
    const Units before = units_of(plain, {}), got = units_of(model, {});
    for (std::uint32_t unit = 0; unit < got.size(); ++unit) {
      EXPECT_TRUE(got[unit] == quantized(model, plain.layout, unit, before[unit]))
          << precision << ", " << model.graph.units[unit].name;
    }
  }
}

TEST_P(QuantizedUnits, AreTheSameForEveryWorldSizeTransportStagingAndFormat) {
  const OpenModel model = open("bf16-true");
  const Units expected = units_of(model, {});
  for (const std::uint32_t world : {2u, 3u, 7u}) {
    for (const std::uint64_t staging : {64u << 10, 1u << 20}) {
      Setting setting;
      setting.world = world;
      setting.transport = world == 3 ? Transport::Mpi : Transport::Mapped;
      setting.staging = staging;
      EXPECT_TRUE(units_of(model, setting) == expected) << setting;
    }
  }
  const TemporaryDirectory directory;
  const std::string gguf = directory.file("model.gguf");
  write_gguf(gguf, wide_llama(), checkpoint_.tensors);
  const OpenModel from_gguf = open_checkpoint_as(gguf, "bf16-true", GetParam());
  Setting setting;
  setting.world = 2;
  setting.transport = Transport::Mapped;
  EXPECT_TRUE(units_of(from_gguf, setting) == expected);
}

TEST_P(QuantizedUnits, DoNotHideAWeightThatIsNoNumber) {
  SmallCheckpoint bad(wide_llama());
  for (SmallTensor& tensor : bad.tensors) {
    if (tensor.name == "model.layers.1.mlp.down_proj.weight") {
      tensor.values[5 * 76 + 7] = std::numeric_limits<float>::infinity();
    }
  }
  write_safetensors(bad.directory.path(), wide_llama(), bad.tensors, DType::F32, 2);
  const OpenModel model = open_checkpoint_as(bad.directory.path(), "bf16-true", GetParam());
  const auto failures = run_world(
      model, {}, [](std::uint32_t, RankModel& rank) { rank.instance().finish_loading(); });
  EXPECT_THAT(failures.front(), AllOf(HasSubstr("model.layers.1.mlp.down_proj.weight"),
                                      HasSubstr("row 5, column 7"), HasSubstr("finite")));
}

}  // namespace
}  // namespace initrt::testing
