// What ranks read of codes that lie column by column of a weight's rows, GPTQ's and AWQ's: a rank's
// rows are a stripe through the whole tensor, which is read in slabs of the weight's columns.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "sharding/read_plan.h"
#include "tests/sharding/checkpoint/quantized/quantized_ways.h"

namespace initrt::testing {
namespace {

struct Totals {
  std::uint64_t bytes = 0, reads = 0;
  std::uint64_t most_bytes = 0;  // of a rank
  std::uint64_t payload = 0;
};

// Of a weight of [rows, 4096] that so many ranks load in blocks of 4 MiB.
Totals read_by(const Way& way, std::uint32_t world) {
  Graph graph = graph_of(way.rows, way.columns);
  Unit unit;
  unit.params.push_back({kWeight, 0, way.rows});
  graph.units.push_back(unit);
  const Catalog catalog = catalog_of(way.parts, way.config);
  const Bindings bindings = bind(graph, catalog, false);
  const Layout layout = make_layout(graph, *precision_from_name("bf16-true"));
  const Cut cut = make_cut(layout, world);
  const ReadLimits limits{(4u << 20) - 8192, (2u << 20) - 8192, 2u << 20};
  Totals totals;
  for (const QuantComponent& part : bindings.tensors[kWeight].quantized->components) {
    totals.payload += catalog.tensors[part.tensor].bytes();
  }
  for (std::uint32_t rank = 0; rank < world; ++rank) {
    const UnitReads plan = plan_reads(graph, layout, cut, bindings, catalog, 0, rank, limits);
    totals.bytes += plan.bytes();
    totals.reads += plan.reads.size();
    totals.most_bytes = std::max(totals.most_bytes, plan.bytes());
  }
  return totals;
}

Way gptq_of(std::uint64_t rows, std::uint64_t columns) {
  return {"",
          rows,
          columns,
          {{"qweight", DType::I32, {columns / 8, rows}},
           {"qzeros", DType::I32, {columns / 128, rows / 8}},
           {"scales", DType::F16, {columns / 128, rows}}},
          gptq(4, 128),
          QuantMethod::Gptq};
}

Way awq_of(std::uint64_t rows, std::uint64_t columns) {
  return {"",
          rows,
          columns,
          {{"qweight", DType::I32, {columns, rows / 8}},
           {"qzeros", DType::I32, {columns / 128, rows / 8}},
           {"scales", DType::F16, {columns / 128, rows}}},
          {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 128}, {"version", "gemm"}},
          QuantMethod::Awq};
}

// A stripe is no wider than a rank's rows, so the reads are small: of 8 ranks and a matrix of 4096
// by 4096 2 KiB of GPTQ's and 256 bytes of AWQ's. What lies between is other ranks'.
TEST(StripedReads, HaveEachByteReadOnceOverAllRanks) {
  for (const std::uint64_t rows : {4096ull, 11008ull}) {
    for (const Way& one : {gptq_of(rows, 4096), awq_of(rows, 4096)}) {
      for (const std::uint32_t world : {2u, 3u, 7u, 8u}) {
        const Totals totals = read_by(one, world);
        EXPECT_GE(totals.bytes, totals.payload);
        EXPECT_LE(static_cast<double>(totals.bytes), 1.02 * static_cast<double>(totals.payload))
            << rows << " rows, " << world << " ranks";
        EXPECT_LE(static_cast<double>(totals.most_bytes) * world,
                  1.05 * static_cast<double>(totals.payload));
      }
    }
  }
}

TEST(StripedReads, AreOneForEachRowOfWordsWhereARanksRowsFitABlock) {
  EXPECT_EQ(read_by(gptq_of(4096, 4096), 8).reads, 8u * (512 + 32 + 32));
  EXPECT_EQ(read_by(awq_of(4096, 4096), 8).reads, 8u * (4096 + 32 + 32));
}

// A rank alone makes all rows of some columns at a time: 768 of a matrix of 4096 by 4096, whose
// codes, scales and zeros are a read each.
TEST(SlabReads, OfARankAloneAreFewAndHaveEachByteOnce) {
  for (const Way& one : {gptq_of(4096, 4096), awq_of(4096, 4096)}) {
    const Totals totals = read_by(one, 1);
    EXPECT_EQ(totals.bytes, totals.payload);
    EXPECT_EQ(totals.reads, 6u * 3);
  }
  for (const std::uint64_t rows : {1024ull, 11008ull, 14336ull, 28672ull}) {
    for (const Way& one : {gptq_of(rows, 8192), awq_of(rows, 8192)}) {
      const Totals totals = read_by(one, 1);
      EXPECT_EQ(totals.bytes, totals.payload) << rows;
      EXPECT_LE(totals.reads, 64u * 3) << rows;
    }
  }
}

// More rows than a group of columns of all of them fits half a block: some of the rows at a time.
TEST(SlabReads, OfMoreRowsThanFitAreLongPiecesOfStoredRows) {
  for (const Way& one : {gptq_of(131072, 1024), awq_of(131072, 1024)}) {
    const Totals totals = read_by(one, 1);
    EXPECT_EQ(totals.bytes, totals.payload);
    EXPECT_GE(totals.bytes / totals.reads, 8u << 10);
  }
}

// A scale for each row: all columns are one group's, whose scales each slab reads.
TEST(SlabReads, OfGroupsThatAreCutHaveTheirScalesOnceForEachSlab) {
  for (Way one : {gptq_of(4096, 4096), awq_of(4096, 4096)}) {
    for (Part& part : one.parts) {
      if (part.name != "qweight") part.shape[0] = 1;
    }
    one.config["group_size"] = -1;
    const Totals totals = read_by(one, 1);
    EXPECT_GT(totals.bytes, totals.payload);
    EXPECT_LT(static_cast<double>(totals.bytes), 1.01 * static_cast<double>(totals.payload));
    EXPECT_LE(totals.reads, 6u * 3);
  }
}

// Groups in the order of activations: any column may need any scale, so that rows are made whole.
TEST(SlabReads, AreOfWholeRowsWhereActivationsGaveTheOrder) {
  Way one = gptq_of(4096, 4096);
  one.parts.push_back({"g_idx", DType::I32, {4096}});
  const std::uint64_t few = 6 * 4;
  one.config["desc_act"] = false;
  EXPECT_LE(read_by(one, 1).reads, few);
  one.config["desc_act"] = true;
  EXPECT_GT(read_by(one, 1).reads, 10 * few);
  one.config.erase("desc_act");  // nothing is known of the order
  EXPECT_GT(read_by(one, 1).reads, 10 * few);
}

}  // namespace
}  // namespace initrt::testing
