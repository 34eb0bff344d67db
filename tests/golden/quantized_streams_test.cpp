// The tiny models of quantized_test.cpp, streamed: what lies in their units is what their weights
// are dequantized to, or what that is quantized to, on any number of ranks; and their logits are
// those of the library.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "runtime/convert/quantize.h"
#include "runtime/values/hash.h"
#include "tests/golden/family_logits.h"
#include "tests/support/source_path.h"
#include "tests/support/units.h"

namespace initrt::testing {
namespace {

const std::string kFolder = source_path("tests/golden/quantized/");

std::vector<std::string> folders() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class QuantizedStreams : public ::testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] static OpenModel open(const std::string& precision,
                                      const std::string& quantize = "none") {
    return open_checkpoint_as(kFolder + GetParam(), precision, quantize);
  }
};

INSTANTIATE_TEST_SUITE_P(Golden, QuantizedStreams, ::testing::ValuesIn(folders()),
                         [](const auto& of) { return of.param; });

TEST_P(QuantizedStreams, GiveUnitsOfTheDequantizedWeights) {
  const OpenModel model = open("32-true");
  const auto expected =
      nlohmann::json::parse(std::ifstream(kFolder + GetParam() + "/expected.json"));
  const Units units = units_of(model, {});
  std::size_t found = 0;
  for (std::uint32_t unit = 0; unit < units.size(); ++unit) {
    for (std::size_t i = 0; i < model.graph.units[unit].params.size(); ++i) {
      const std::string& name = model.graph.tensor_of(model.graph.units[unit].params[i]).name;
      if (!expected.contains(name)) continue;
      const ParamPlace& place = model.layout.units[unit].params[i];
      Hasher hasher;
      hasher.add(std::span(units[unit]).subspan(place.offset, place.bytes()));
      EXPECT_EQ(hash_text(hasher.value()), expected[name].get<std::string>()) << name;
      ++found;
    }
  }
  EXPECT_EQ(found, expected.size());
}

TEST_P(QuantizedStreams, GiveTheSameUnitsOnAnyNumberOfRanks) {
  const std::pair<const char*, const char*> holdings[] = {
      {"32-true", "none"}, {"bf16-true", "none"}, {"16-true", "llm.int8"}, {"bf16-true", "nf4"}};
  for (const auto& [precision, quantize] : holdings) {
    const OpenModel model = open(precision, quantize);
    const Units units = units_of(model, {});
    for (const std::uint32_t world : {2u, 3u, 7u}) {
      EXPECT_TRUE(units_of(model, mapped_ranks(world)) == units)
          << precision << ", " << quantize << ", " << world << " ranks";
    }
  }
}

TEST_P(QuantizedStreams, GiveTheLogitsOfTheDequantizedWeights) {
  std::vector<TokenId> tokens(8);
  std::iota(tokens.begin(), tokens.end(), 1);
  const OpenModel model = open("32-true");
  for (const std::uint32_t world : {1u, 3u}) {
    const auto failures = run_world(
        model, mapped_ranks(world, Move::Auto), [&](std::uint32_t rank, RankModel& instance) {
          const std::vector<float> logits =
              score_all(instance.engine(), rank == 0 ? tokens : std::vector<TokenId>{}, 8);
          if (rank == 0) {
            expect_logits_of(kFolder + GetParam() + "/logits.npy", logits, model.graph.vocabulary,
                             tokens.size());
          }
        });
    EXPECT_THAT(failures, ::testing::Each(::testing::IsEmpty()));
  }
}

}  // namespace
}  // namespace initrt::testing
