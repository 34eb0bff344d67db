#include "sharding/scale_coding.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace initrt {
namespace {

TEST(CodedScaleRows, HaveAMagnitudeForEveryBlockThatARowMayLieIn) {
  for (const std::uint64_t scales :
       {1ull, 2ull, 9ull, 24ull, 64ull, 100ull, 224ull, 256ull, 257ull, 448ull, 512ull, 1000ull}) {
    std::uint64_t most = 0;
    for (std::uint64_t row = 0; row < 256; ++row) {
      const std::uint64_t begin = row * scales, end = begin + scales - 1;
      most = std::max(most, end / kScaleBlock - begin / kScaleBlock + 1);
    }
    EXPECT_EQ(coded_scale_row(scales * kFourBitBlock).magnitudes, most) << scales;
    EXPECT_EQ(coded_scale_row(scales * kFourBitBlock - 63).scales, scales);
  }
}

TEST(CodedScaleRows, TakeAQuarterOfFloatsOrLittleMore) {
  EXPECT_EQ(scale_row_bytes(WeightFormat::Nf4, 4096), 256u);
  EXPECT_EQ(scale_row_bytes(WeightFormat::Nf4Dq, 4096), 4u + 1 + 64 + 4);
  EXPECT_EQ(scale_row_bytes(WeightFormat::Fp4Dq, 14336), 4u + 1 + 224 + 8);
  EXPECT_EQ(scale_row_bytes(WeightFormat::Fp4Dq, 0), 5u);
}

// A graph of one unit with matrices of these rows and columns.
Graph graph_of(const std::vector<std::pair<std::uint64_t, std::uint64_t>>& shapes) {
  Graph graph;
  Unit unit;
  unit.name = "unit";
  for (const auto& [rows, columns] : shapes) {
    unit.params.push_back({static_cast<std::uint32_t>(graph.tensors.size()), 0, rows});
    Tensor tensor;
    tensor.name = "tensor";
    tensor.rows = rows;
    tensor.columns = columns;
    graph.tensors.push_back(tensor);
  }
  graph.units.push_back(unit);
  return graph;
}

Layout layout_of(const Graph& graph, WeightFormat format) {
  Holding holding;
  holding.formats.assign(graph.tensors.size(), format);
  return make_layout(graph, {"bf16-true", DType::BF16}, holding);
}

TEST(UnitScales, AreEachRanksRowsAndWhatItTellsOfTheirEdges) {
  const Graph graph = graph_of({{100, 576}, {64, 4096}, {3, 64}});
  const Layout layout = layout_of(graph, WeightFormat::Nf4Dq);
  for (const std::uint32_t world : {1u, 2u, 3u, 7u, 100u}) {
    const UnitScales scales = unit_scales(graph, layout, 0, world);
    ASSERT_EQ(scales.params.size(), 3u);
    std::uint64_t bytes = 0, message = 0;
    for (const CodedScales& param : scales.params) {
      std::uint64_t end = 0, most = 0;
      for (std::uint32_t rank = 0; rank < world; ++rank) {
        EXPECT_EQ(param.begin_of(rank), end);
        end = param.end_of(rank);
        most = std::max(most, end - param.begin_of(rank));
      }
      EXPECT_EQ(end, param.rows * param.row_scales);
      EXPECT_EQ(param.codes, bytes);
      EXPECT_EQ(param.message, message);
      const std::uint64_t code_bytes = scale_row_bytes(WeightFormat::Nf4Dq, param.columns);
      for (std::uint64_t row = 1; row < param.block_rows; ++row) {
        EXPECT_LE(param.codes + row * code_bytes, param.floats + row * param.row_scales * 4)
            << "codes reach floats that are still to be coded";
      }
      EXPECT_EQ(param.floats % 4, 0u);
      bytes += (std::max(most * 4, param.block_rows * code_bytes) + 7) / 8 * 8;
      EXPECT_EQ(param.floats, bytes - most * 4);
      message += 5 * 8 + 2 * param.told * 4;
    }
    EXPECT_EQ(scales.scale_bytes, bytes);
    EXPECT_EQ(scales.message_bytes, message);
  }
  // Rows of 64 scales: a rank of 2 ends where a block does, one of 3 has 22 rows.
  EXPECT_EQ(unit_scales(graph, layout, 0, 2).params[1].told, 0u);
  EXPECT_EQ(unit_scales(graph, layout, 0, 3).params[1].told, 255u);
  EXPECT_EQ(unit_scales(graph, layout, 0, 7).params[0].told, 135u);
  EXPECT_EQ(unit_scales(graph, layout, 0, 1).params[0].told, 0u);
}

TEST(UnitScales, AreNothingOfOtherFormats) {
  const Graph graph = graph_of({{100, 576}});
  for (const WeightFormat format : {WeightFormat::Plain, WeightFormat::Nf4, WeightFormat::Int8}) {
    const Layout layout = layout_of(graph, format);
    EXPECT_TRUE(unit_scales(graph, layout, 0, 3).params.empty());
    EXPECT_EQ(scale_memory(graph, layout, 3).bytes(), 0u);
  }
}

TEST(ScaleMemory, IsTwoOfTheLargestUnitAndAllRanksMessages) {
  Graph graph = graph_of({{100, 576}});
  graph.tensors.push_back(graph.tensors.front());
  graph.tensors.back().columns = 640;
  graph.units.push_back(graph.units.front());
  graph.units.back().params.front().tensor = 1;
  const ScaleMemory memory = scale_memory(graph, layout_of(graph, WeightFormat::Fp4Dq), 3);
  EXPECT_EQ(memory.slot_bytes, 34u * 10 * 4);
  EXPECT_EQ(memory.message_bytes, 40u + 2 * 255 * 4);
  EXPECT_EQ(memory.bytes(), 2 * memory.slot_bytes + 4 * memory.message_bytes);
}

}  // namespace
}  // namespace initrt
