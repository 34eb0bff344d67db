// Quantized weights as they are found: by names, dtypes, shapes and what the config says. What is
// one format's is in a file of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sharding/read_plan.h"
#include "tests/sharding/checkpoint/quantized/quantized_ways.h"
#include "tests/sharding/errors.h"

namespace initrt::testing {
namespace {

using ::testing::HasSubstr;

TEST(FindQuantized, EachWayIsKnownByWhatLiesBesideAWeightAndBoundByItsCodes) {
  for (const Way& one : ways()) {
    const Catalog catalog = catalog_of(one.parts, one.config);
    const Bindings bindings = bind(graph_of(one.rows, one.columns), catalog, false);
    const Binding& binding = bindings.tensors[kWeight];
    ASSERT_TRUE(binding.quantized) << one.name;
    EXPECT_EQ(binding.quantized->method, one.method) << one.name;
    EXPECT_EQ(binding.quantized->rows, one.rows);
    EXPECT_EQ(binding.quantized->columns, one.columns);
    ASSERT_EQ(binding.runs.size(), 1u);
    EXPECT_EQ(catalog.tensors[binding.runs[0].source].name, kModule + one.parts[0].name);
    EXPECT_EQ(binding.runs[0].rows, one.rows);
    EXPECT_FALSE(bindings.tensors[0].quantized) << one.name;
    EXPECT_EQ(bindings.unexpected.size(), 0u) << one.name;
    EXPECT_EQ(bindings.unused_quantization, "") << one.name;
  }
}

TEST(FindQuantized, BiasesBesideCodesStayPlain) {
  for (const Way& one : ways()) {
    Graph graph = graph_of(one.rows, one.columns);
    Tensor bias{graph.tensors[kWeight].name, one.rows, 1, true, 0, {}};
    bias.name.replace(bias.name.rfind(".weight"), 7, ".bias");
    graph.tensors.push_back(bias);
    Parts parts = one.parts;
    parts.push_back({"bias", DType::BF16, {one.rows}});
    const Bindings bindings = bind(graph, catalog_of(parts, one.config), false);
    EXPECT_TRUE(bindings.tensors[kWeight].quantized) << one.name;
    EXPECT_FALSE(bindings.tensors.back().quantized) << one.name;
    EXPECT_EQ(bindings.unexpected.size(), 0u) << one.name;
  }
}

TEST(FindQuantized, BoxesHoldEveryComponentsBytesOnceOverAllRows) {
  for (const Way& one : ways()) {
    const Catalog catalog = catalog_of(one.parts, one.config);
    const Bindings bindings = bind(graph_of(one.rows, one.columns), catalog, false);
    const QuantizedWeight& weight = *bindings.tensors[kWeight].quantized;
    for (const SourceBox& box : source_boxes(weight, 0, one.rows)) {
      EXPECT_EQ(box.bytes(), catalog.tensors[box.tensor].bytes()) << one.name;
    }
    for (std::uint64_t row = 0; row < one.rows; ++row) {
      for (const SourceBox& box : source_boxes(weight, row, 1)) {
        const TensorEntry& tensor = catalog.tensors[box.tensor];
        const std::uint64_t columns = tensor.shape.empty() ? 1 : tensor.shape.back();
        EXPECT_LE(box.column + box.columns, columns) << one.name;
        EXPECT_LE(box.row + box.rows, tensor.elements() / columns) << one.name;
        EXPECT_GT(box.bytes(), 0u) << one.name;
      }
    }
    EXPECT_THAT(error_of([&] { (void)source_boxes(weight, one.rows, 1); }), HasSubstr("no 1 rows"));
  }
}

TEST(FindQuantized, SomethingUnknownBesideAWeightIsRefusedByTheMethodsName) {
  for (const Way& one : ways()) {
    EXPECT_THAT(error_with(one.name, {"weight_mask", DType::U8, {64, 96}}),
                HasSubstr("weights quantized this way are not read"))
        << one.name;
  }
}

TEST(FindQuantized, CodesAreNotPlannedAsNumbers) {
  const Way& one = way("Fp8OneScale");
  const Graph graph = graph_of(one.rows, one.columns);
  const Catalog catalog = catalog_of(one.parts, one.config);
  const Bindings bindings = bind(graph, catalog, false);
  std::vector<std::pair<std::uint32_t, Piece>> pieces;
  EXPECT_THAT(error_of([&] {
                plan_elements(graph.tensors[kWeight], bindings.tensors[kWeight], catalog, 0, 1, 0,
                              DType::F32, pieces);
              }),
              HasSubstr("stored as codes"));
}

}  // namespace
}  // namespace initrt::testing
