// Weights that are quantized while they stream: what lies in the units, whatever reads them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "runtime/convert/quantize.h"
#include "runtime/convert/scale_codes.h"
#include "sharding/error.h"
#include "tests/runtime/comm/thread_ranks.h"
#include "tests/support/small_checkpoint.h"
#include "tests/support/units.h"

namespace initrt::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

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

INSTANTIATE_TEST_SUITE_P(Methods, QuantizedUnits,
                         ::testing::Values("llm.int8", "nf4", "fp4", "nf4-dq", "fp4-dq"),
                         [](const auto& of) {
                           std::string text = of.param;
                           std::erase_if(text, [](char c) { return c == '.' || c == '-'; });
                           return text;
                         });

// What quantize_rows() makes of a parameter, and of its scales, where they become codes.
void quantize(const ParamPlace& place, std::span<const std::byte> rows, DType dtype,
              std::uint64_t columns, std::byte* codes, std::byte* scales) {
  if (!has_coded_scales(place.format)) {
    quantize_rows(place.format, rows, dtype, place.rows, columns, codes, scales);
    return;
  }
  std::vector<float> floats(place.rows * coded_scale_row(columns).scales);
  quantize_rows(with_float_scales(place.format), rows, dtype, place.rows, columns, codes,
                std::as_writable_bytes(std::span(floats)).data());
  code_all_scales(floats, columns, scales);
}

// All of a unit, from the same in the precision.
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
      quantize(place, rows, plain.dtype, columns, out.data() + place.offset,
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

// Matrices of 1,300 scales and more, of which a rank of seven has some 190: blocks of 256 are two
// ranks' and three ranks'.
TEST(QuantizedScales, AreCodedAsOfTheWholeMatrixWhereRanksShareTheirBlocks) {
  SmallLlama wide = wide_llama();
  wide.hidden = 260;
  wide.intermediate = 270;
  const SmallCheckpoint checkpoint(wide, DType::BF16, 2);
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true", "nf4-dq");
  const OpenModel plain = open_checkpoint_as(checkpoint.directory.path(), "bf16-true");
  const Units before = units_of(plain, {});
  for (const std::uint32_t world : {1u, 2u, 3u, 7u}) {
    for (const Transport transport : {Transport::Mapped, Transport::Mpi}) {
      Setting setting;
      setting.world = world;
      setting.transport = transport;
      setting.staging = 1u << 20;
      const Units got = units_of(model, setting);
      for (std::uint32_t unit = 0; unit < got.size(); ++unit) {
        EXPECT_TRUE(got[unit] == quantized(model, plain.layout, unit, before[unit]))
            << setting << ", " << model.graph.units[unit].name;
      }
    }
  }
}

// Ranks that wait for what a rank has that fails must not wait for ever.
TEST(QuantizedScales, EndOnAllRanksWhereOneCannotReadItsRows) {
  SmallCheckpoint bad(wide_llama());
  for (SmallTensor& tensor : bad.tensors) {
    if (tensor.name == "model.layers.1.mlp.down_proj.weight") {
      tensor.values[5 * 76 + 7] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  write_safetensors(bad.directory.path(), wide_llama(), bad.tensors, DType::F32, 2);
  const OpenModel model = open_checkpoint_as(bad.directory.path(), "bf16-true", "nf4-dq");
  for (const Transport transport : {Transport::Mapped, Transport::Mpi}) {
    Setting setting;
    setting.world = 3;
    setting.transport = transport;
    const auto failures = run_world(
        model, setting, [](std::uint32_t, RankModel& rank) { rank.instance().finish_loading(); });
    EXPECT_THAT(failures[0], AllOf(HasSubstr("row 5, column 7"), HasSubstr("finite")));
    EXPECT_THAT(failures, Each(Not(IsEmpty()))) << setting;
  }
}

TEST(QuantizedScales, AreNotWaitedForWhereARankLeavesBeforeTheyAreThere) {
  const SmallCheckpoint checkpoint(wide_llama());
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true", "nf4-dq");
  Setting setting;
  setting.world = 2;
  setting.transport = Transport::Mpi;
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    RankModel rank(model, setting, comm);
    rank.instance().start_loading();
    if (comm.rank() == 1) fail("this rank leaves");
    rank.instance().finish_loading();
    static_cast<void>(score_all(rank.engine(), std::vector<TokenId>{1, 2}, 2));
  });
  EXPECT_THAT(failures, Each(Not(IsEmpty())));
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
