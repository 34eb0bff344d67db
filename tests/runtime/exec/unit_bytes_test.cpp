// A unit's bytes do not depend on the number of ranks, nor on the checkpoint's format.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/small_checkpoint.h"
#include "tests/support/units.h"

namespace initrt::testing {
namespace {

Units units_of_one_rank(const OpenModel& model) { return units_of(model, {}); }

class UnitBytes : public ::testing::TestWithParam<bool> {
 protected:
  const SmallLlama shape_ = GetParam() ? tied_llama() : SmallLlama{};
  const SmallCheckpoint checkpoint_{shape_};
};

INSTANTIATE_TEST_SUITE_P(Tied, UnitBytes, ::testing::Bool());

TEST_P(UnitBytes, AreTheSameForEveryWorldSizeTransportAndBudget) {
  for (const char* precision : {"32-true", "bf16-true", "16-true"}) {
    const OpenModel model = open_checkpoint_as(checkpoint_.directory.path(), precision);
    const Units expected = units_of_one_rank(model);
    for (const std::uint32_t world : {2u, 3u, 4u, 7u}) {
      for (const Transport transport : transports_between(world)) {
        Setting setting;
        setting.world = world;
        setting.transport = transport;
        if (world == 3) setting.budget = 1u << 30;
        EXPECT_TRUE(units_of(model, setting) == expected) << precision << ", " << setting;
      }
    }
  }
}

TEST_P(UnitBytes, AreTheSameFromSafetensorsAndFromGguf) {
  const TemporaryDirectory directory;
  const std::string gguf = directory.file("model.gguf");
  write_gguf(gguf, shape_, checkpoint_.tensors);
  for (const char* precision : {"32-true", "bf16-true"}) {
    const OpenModel from_gguf = open_checkpoint_as(gguf, precision);
    const Units expected =
        units_of_one_rank(open_checkpoint_as(checkpoint_.directory.path(), precision));
    EXPECT_EQ(from_gguf.catalog.format, "gguf");
    for (const std::uint32_t world : {1u, 3u}) {
      Setting setting;
      setting.world = world;
      setting.transport = Transport::Mpi;
      EXPECT_TRUE(units_of(from_gguf, setting) == expected) << precision << ", " << setting;
    }
  }
}

TEST_P(UnitBytes, AreTheSameFromOneFileAndFromMany) {
  const SmallCheckpoint many(shape_, DType::F32, 9);
  const Units expected =
      units_of_one_rank(open_checkpoint_as(checkpoint_.directory.path(), "32-true"));
  EXPECT_TRUE(units_of_one_rank(open_checkpoint_as(many.directory.path(), "32-true")) == expected);
}

// Rounding once, when the checkpoint is written, or while it streams.
TEST_P(UnitBytes, AreTheSameFromBf16AndFromF32RoundedToIt) {
  const SmallCheckpoint rounded(shape_, DType::BF16);
  const Units expected =
      units_of_one_rank(open_checkpoint_as(checkpoint_.directory.path(), "bf16-true"));
  EXPECT_TRUE(units_of_one_rank(open_checkpoint_as(rounded.directory.path(), "bf16-true")) ==
              expected);
}

TEST_P(UnitBytes, AreTheTensorsInTheirPlacesAndZeroBetween) {
  const OpenModel model = open_checkpoint_as(checkpoint_.directory.path(), "32-true");
  const Units units = units_of_one_rank(model);
  for (std::uint32_t unit = 0; unit < units.size(); ++unit) {
    std::vector<std::byte> expected(units[unit].size());
    for (std::size_t i = 0; i < model.graph.units[unit].params.size(); ++i) {
      const Param& param = model.graph.units[unit].params[i];
      const SmallTensor& tensor =
          tensor_named(checkpoint_.tensors, model.graph.tensor_of(param).name);
      std::memcpy(expected.data() + model.layout.units[unit].params[i].offset,
                  tensor.values.data() + param.row_begin * tensor.columns,
                  param.rows * tensor.columns * sizeof(float));
    }
    EXPECT_TRUE(units[unit] == expected) << model.graph.units[unit].name;
  }
}

}  // namespace
}  // namespace initrt::testing
