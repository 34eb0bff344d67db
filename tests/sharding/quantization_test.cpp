// Which weights a job holds quantized.
#include "sharding/quantization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sharding/errors.h"

namespace initrt::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A block with a norm, a router and a product, an expert, and a head that shares the embedding.
Graph small_graph() {
  Graph graph;
  const auto tensor = [&](const char* name, std::uint64_t rows, std::uint64_t columns) {
    graph.tensors.push_back({name, rows, columns, columns == 1, 0, {}});
  };
  tensor("model.embed_tokens.weight", 8, 32);
  tensor("model.layers.0.norm.weight", 32, 1);
  tensor("model.layers.0.o_proj.weight", 32, 32);
  tensor("model.layers.0.gate.weight", 2, 32);
  tensor("model.layers.0.experts.0.down_proj.weight", 32, 32);
  graph.activations = {{"hidden", 32}, {"out", 32}, {"scores", 2}};
  Unit embedding{"embedding", UnitKind::Head, {{0, 0, 8}}, {HeadOp{0, 0, 0, 0.0f}}};
  Unit block{"block", UnitKind::Block, {{1, 0, 32}, {2, 0, 32}, {3, 0, 2}}, {}};
  block.ops = {NormOp{0, 0, NormKind::Rms, 0, {}, 1e-5f, 0.0f, 32}, LinearOp{0, 1, 1, {}},
               LinearOp{1, 2, 2, {}}, RouteOp{2, {.experts = 2, .chosen = 1, .normalize = true}}};
  Unit expert{"expert", UnitKind::Expert, {{4, 0, 32}}, {LinearOp{0, 1, 0, {}}}};
  graph.units = {embedding, block, expert};
  graph.embedding = {{0, 0}};
  return graph;
}

// Each tensor stored by itself, as these dtypes.
struct Stored {
  Catalog catalog;
  Bindings bindings;
};
Stored stored_as(const Graph& graph, const std::vector<DType>& dtypes) {
  Stored stored;
  stored.catalog.path = "model.gguf";
  for (std::uint32_t i = 0; i < graph.tensors.size(); ++i) {
    const Tensor& tensor = graph.tensors[i];
    stored.catalog.tensors.push_back({tensor.name, dtypes[i], {tensor.rows, tensor.columns}, {}});
    RowRun run;
    run.source = i;
    run.rows = tensor.rows;
    run.columns = tensor.columns;
    stored.bindings.tensors.push_back({{run}});
  }
  return stored;
}

std::vector<WeightFormat> formats(const Quantization& asked, const std::vector<DType>& dtypes) {
  const Graph graph = small_graph();
  const Stored stored = stored_as(graph, dtypes);
  return choose_holding(graph, stored.bindings, stored.catalog, asked).formats;
}

const std::vector<DType> kPlain(5, DType::BF16);
constexpr auto kNone = WeightFormat::Plain;

TEST(Quantization, IsOfMatricesOfBlocksAndExpertsButNotOfRouters) {
  EXPECT_THAT(formats({QuantizeMethod::Nf4, {}, 0}, kPlain),
              ElementsAre(kNone, kNone, WeightFormat::Nf4, kNone, WeightFormat::Nf4));
  EXPECT_THAT(formats({QuantizeMethod::None, {}, 0}, kPlain), ElementsAre());
}

TEST(Quantization, IsToTheFormatOfItsName) {
  const std::pair<std::string_view, WeightFormat> formats_by_name[] = {
      {"llm.int8", WeightFormat::Int8},
      {"nf4", WeightFormat::Nf4},
      {"fp4", WeightFormat::Fp4},
      {"nf4-dq", WeightFormat::Nf4Dq},
      {"fp4-dq", WeightFormat::Fp4Dq}};
  for (const auto& [text, format] : formats_by_name) {
    const auto method = quantize_method_from_name(text);
    ASSERT_TRUE(method.has_value()) << text;
    EXPECT_EQ(name(*method), text);
    EXPECT_EQ(formats({*method, {}, 0}, kPlain).at(2), format) << text;
  }
}

TEST(Quantization, SkipsModulesByWholeComponentsOfTheirNames) {
  const auto skip = [](std::vector<std::string> names) {
    return formats({QuantizeMethod::Int8, std::move(names), 6}, kPlain);
  };
  EXPECT_THAT(skip({"o_proj"}), ElementsAre(kNone, kNone, kNone, kNone, WeightFormat::Int8));
  EXPECT_THAT(skip({"layers.0.experts"}),
              ElementsAre(kNone, kNone, WeightFormat::Int8, kNone, kNone));
  EXPECT_THAT(error_of([&] { (void)skip({"proj"}); }), HasSubstr("quantize.skip has \"proj\""));
  EXPECT_THAT(skip({"gate", "norm"}),  // which are not quantized anyway
              ElementsAre(kNone, kNone, WeightFormat::Int8, kNone, WeightFormat::Int8));
}

TEST(Quantization, HoldsBlocksAsTheyAreStored) {
  const Quantization asked{QuantizeMethod::Stored, {}, 0};
  EXPECT_THAT(formats(asked, {DType::Q8_0, DType::F32, DType::Q4_0, DType::F32, DType::Q5_0}),
              ElementsAre(WeightFormat::Q8_0, kNone, WeightFormat::Q4_0, kNone, kNone));
  EXPECT_THAT(formats({QuantizeMethod::Stored, {"embed_tokens"}, 0},
                      {DType::Q8_0, DType::F32, DType::Q4_0, DType::F32, DType::Q5_0}),
              ElementsAre(kNone, kNone, WeightFormat::Q4_0, kNone, kNone));
  EXPECT_THAT(error_of([&] { (void)formats(asked, kPlain); }),
              HasSubstr("no matrix is stored in blocks"));
}

TEST(Quantization, TellsTheOutlierThresholdToInt8Alone) {
  const Graph graph = small_graph();
  const Stored stored = stored_as(graph, kPlain);
  const auto threshold = [&](QuantizeMethod method) {
    return choose_holding(graph, stored.bindings, stored.catalog, {method, {}, 6.5f})
        .outlier_threshold;
  };
  EXPECT_EQ(threshold(QuantizeMethod::Int8), 6.5f);
  EXPECT_EQ(threshold(QuantizeMethod::Nf4), 0.0f);
}

}  // namespace
}  // namespace initrt::testing
