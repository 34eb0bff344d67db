// How families' own names, fused and transposed matrices are bound, and written again.
#include <gtest/gtest.h>

#include <algorithm>

#include "sharding/checkpoint/names/canonical_name.h"
#include "sharding/checkpoint/names/hf_form.h"
#include "tests/sharding/dense_entry.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::error_of;

constexpr NamePair kGlobal[] = {{"model.embed_tokens.weight", "net.table.weight"}};
constexpr NamePair kModules[] = {
    {"self_attn.q_proj", "mix.qkv"},
    {"self_attn.k_proj", "mix.qkv"},
    {"self_attn.v_proj", "mix.qkv"},
    {"mlp.gate_proj", "feed.both"},
    {"mlp.up_proj", "feed.both"},
    {"mlp.down_proj", "feed.out"},
    {"mlp.experts.*.up_proj", "moe.*.wide"},
};
constexpr std::string_view kBuffers[] = {"mix.mask"};

/// Four query heads over two KV heads of 3 rows; an intermediate size of 5; 4 columns.
Graph fused_graph(QkvOrder order, bool transposed) {
  Graph graph;
  graph.heads = 4;
  graph.kv_heads = 2;
  graph.head_size = 3;
  graph.hf_names.table = {kGlobal, "net.h.", kModules};
  graph.hf_names.base_prefix = "net.";
  graph.hf_names.qkv = order;
  graph.hf_names.transposed = transposed;
  graph.hf_names.buffers = kBuffers;
  graph.tensors = {{"model.embed_tokens.weight", 9, 4},
                   {"model.layers.0.self_attn.q_proj.weight", 12, 4},
                   {"model.layers.0.self_attn.k_proj.weight", 6, 4},
                   {"model.layers.0.self_attn.v_proj.weight", 6, 4},
                   {"model.layers.0.mlp.gate_proj.weight", 5, 4},
                   {"model.layers.0.mlp.up_proj.weight", 5, 4},
                   {"model.layers.0.mlp.down_proj.weight", 4, 5}};
  return graph;
}

Catalog fused_catalog(const std::string& prefix, bool transposed,
                      const std::vector<std::string>& others = {}) {
  Catalog catalog;
  catalog.files = {{"model/file", 1u << 20}};
  std::uint64_t offset = 0;
  const auto add = [&](const std::string& name, std::vector<std::uint64_t> shape) {
    if (transposed && name.find("h.0") != std::string::npos) std::swap(shape[0], shape[1]);
    catalog.tensors.push_back(testing::dense_entry(prefix + name, DType::F32, shape, 0, offset));
    offset += 4096;
  };
  add("table.weight", {9, 4});
  add("h.0.mix.qkv.weight", {24, 4});
  add("h.0.feed.both.weight", {10, 4});
  add("h.0.feed.out.weight", {4, 5});
  for (const std::string& other : others) add(other, {1, 1});
  catalog.finish();
  return catalog;
}

/// The row of `source` that row `row` of a binding is taken from.
std::uint64_t source_row(const Binding& binding, std::uint64_t row) {
  for (const RowRun& run : binding.runs) {
    if (row >= run.row && row < run.row + run.rows) {
      return run.source_row + (row - run.row) * run.source_stride;
    }
  }
  ADD_FAILURE() << "no run covers row " << row;
  return 0;
}

TEST(FamilyNames, AModuleOfAnExpertIsTakenApart) {
  const BlockName name = parse_block_name("model.layers.12.mlp.experts.103.up_proj.weight");
  EXPECT_EQ(name.layer, "12");
  EXPECT_EQ(name.module, "mlp.experts.*.up_proj");
  EXPECT_EQ(name.expert, "103");
  EXPECT_EQ(name.kind, "weight");
  EXPECT_EQ(
      translate({kGlobal, "net.h.", kModules}, "model.layers.12.mlp.experts.103.up_proj.weight"),
      "net.h.12.moe.103.wide.weight");
  EXPECT_EQ(parse_block_name("model.layers.1.mlp.experts.weight").expert, "");
}

TEST(FamilyNames, FusedRowsAreThoseOfTheirParts) {
  const Graph stacked = fused_graph(QkvOrder::Stacked, false);
  const Catalog catalog = fused_catalog("net.", false);
  const Bindings bindings = bind(stacked, catalog, false);
  EXPECT_EQ(bindings.naming, "huggingface");
  EXPECT_TRUE(bindings.unexpected.empty());
  EXPECT_EQ(source_row(bindings.tensors[1], 11), 11u);
  EXPECT_EQ(source_row(bindings.tensors[2], 0), 12u);
  EXPECT_EQ(source_row(bindings.tensors[3], 5), 23u);
  EXPECT_EQ(source_row(bindings.tensors[4], 0), 0u) << "gate first";
  EXPECT_EQ(source_row(bindings.tensors[5], 4), 9u);

  const Bindings grouped = bind(fused_graph(QkvOrder::ByGroup, false), catalog, false);
  // For each KV head: its two query heads of 3 rows, itself, its value.
  EXPECT_EQ(source_row(grouped.tensors[1], 5), 5u);
  EXPECT_EQ(source_row(grouped.tensors[1], 6), 12u);
  EXPECT_EQ(source_row(grouped.tensors[2], 3), 18u);
  EXPECT_EQ(source_row(grouped.tensors[3], 0), 9u);
}

// Who quantizes GPT-2 makes Linears, [out, in], of its Conv1Ds.
TEST(FamilyNames, OfTransposedMatricesThoseThatAreQuantizedAreNot) {
  Catalog catalog = fused_catalog("net.", true);
  const auto quantized = std::find_if(
      catalog.tensors.begin(), catalog.tensors.end(),
      [](const TensorEntry& tensor) { return tensor.name == "net.h.0.feed.out.weight"; });
  ASSERT_NE(quantized, catalog.tensors.end());
  *quantized = testing::dense_entry(quantized->name, DType::I8, {4, 5}, 0, 40960);
  catalog.tensors.push_back(
      testing::dense_entry("net.h.0.feed.out.SCB", DType::F32, {4}, 0, 45056));
  catalog.finish();
  const Bindings bindings = bind(fused_graph(QkvOrder::Stacked, true), catalog, false);
  EXPECT_TRUE(bindings.tensors[6].quantized);
  EXPECT_FALSE(bindings.tensors[6].runs.at(0).transposed);
  EXPECT_FALSE(bindings.tensors[5].quantized);
  EXPECT_TRUE(bindings.tensors[5].runs.at(0).transposed);
}

TEST(FamilyNames, OfAModelWithoutItsHeadTheBasePrefixIsMissing) {
  const Bindings bindings =
      bind(fused_graph(QkvOrder::Stacked, false), fused_catalog("", false), false);
  EXPECT_EQ(bindings.naming, "huggingface-base");
}

TEST(FamilyNames, BuffersOfBlocksAreHarmlessAndNothingElseIs) {
  const Bindings bindings =
      bind(fused_graph(QkvOrder::Stacked, false),
           fused_catalog("net.", false, {"h.0.mix.mask", "h.0.remix.mask", "h.mix.mask"}), false);
  EXPECT_EQ(bindings.skipped, 1u);
  EXPECT_EQ(bindings.unexpected,
            (std::vector<std::string>{"net.h.0.remix.mask", "net.h.mix.mask"}));
}

TEST(FamilyNames, TransposedMatricesHaveTheirShapeSwapped) {
  const Graph graph = fused_graph(QkvOrder::Stacked, true);
  const Bindings bindings = bind(graph, fused_catalog("net.", true), false);
  EXPECT_FALSE(bindings.tensors[0].runs[0].transposed) << "the table is of no block";
  for (std::size_t i = 1; i < graph.tensors.size(); ++i) {
    for (const RowRun& run : bindings.tensors[i].runs) EXPECT_TRUE(run.transposed) << i;
  }
  EXPECT_EQ(error_of([&] { (void)bind(graph, fused_catalog("net.", false), false); }),
            "model/file: tensor \"net.h.0.mix.qkv.weight\" has shape [24, 4], but the model config "
            "asks for [4, 24]");
}

TEST(FamilyNames, OfQuantizedBlocksNoTransposeIsTaken) {
  Graph graph = fused_graph(QkvOrder::Stacked, true);
  Catalog catalog;
  catalog.files = {{"model/file", 1u << 20}};
  catalog.tensors = {
      testing::dense_entry("net.table.weight", DType::F32, {9, 4}, 0, 0),
      testing::dense_entry("net.h.0.feed.out.weight", DType::Q8_0, {4, 32}, 0, 4096)};
  catalog.finish();
  graph.tensors = {graph.tensors[0], {"model.layers.0.mlp.down_proj.weight", 32, 4}};
  EXPECT_EQ(error_of([&] { (void)bind(graph, catalog, false); }),
            "model/file: tensor \"net.h.0.feed.out.weight\" is Q8_0: expected a dtype without "
            "blocks");
}

TEST(FamilyNames, WrittenTensorsAreTheStoredOnesAgain) {
  for (const bool transposed : {false, true}) {
    for (const QkvOrder order : {QkvOrder::Stacked, QkvOrder::ByGroup}) {
      const Graph graph = fused_graph(order, transposed);
      const Catalog catalog = fused_catalog("net.", transposed);
      const std::vector<HfTensor> written = hf_tensors(graph, bind(graph, catalog, false));
      ASSERT_EQ(written.size(), catalog.tensors.size());
      for (const auto& [tensor, shape, binding] : written) {
        const auto found = static_cast<std::size_t>(catalog.find(tensor.name));
        ASSERT_LT(found, catalog.tensors.size()) << tensor.name;
        EXPECT_EQ(catalog.tensors[found].shape, shape);
        EXPECT_EQ(shape, (std::vector<std::uint64_t>{tensor.rows, tensor.columns}));
        // Every element comes from its own place.
        std::uint64_t elements = 0;
        for (const RowRun& run : binding.runs) {
          EXPECT_FALSE(run.transposed);
          EXPECT_EQ(run.row, run.source_row);
          EXPECT_EQ(run.column, run.source_column);
          elements += run.rows * run.columns;
        }
        EXPECT_EQ(elements, tensor.elements()) << tensor.name;
      }
    }
  }
}

TEST(FamilyNames, InterleavedRotaryHeadsAreSplitAndWrittenAsTheyWere) {
  Graph graph;
  graph.hf_names.rotary_interleaved = true;
  graph.tensors = {{"model.embed_tokens.weight", 9, 4},
                   {"model.layers.0.self_attn.q_proj.weight", 12, 4, false, 2},
                   {"model.layers.0.self_attn.q_norm.weight", 12, 1, true, 2, false, {}, 2}};
  Catalog catalog;
  catalog.files = {{"model/file", 1u << 20}};
  catalog.tensors = {
      testing::dense_entry("model.embed_tokens.weight", DType::F32, {9, 4}, 0, 0),
      testing::dense_entry("model.layers.0.self_attn.q_proj.weight", DType::F32, {12, 4}, 0, 4096),
      testing::dense_entry("model.layers.0.self_attn.q_norm.weight", DType::F32, {2, 6}, 0, 8192)};
  catalog.finish();
  const Bindings bindings = bind(graph, catalog, false);
  for (const std::size_t tensor : {1, 2}) {
    EXPECT_EQ(source_row(bindings.tensors[tensor], 1), 2u);
    EXPECT_EQ(source_row(bindings.tensors[tensor], 3), 1u) << "the second half's first row";
    EXPECT_EQ(source_row(bindings.tensors[tensor], 11), 11u);
  }
  for (const auto& [tensor, shape, binding] : hf_tensors(graph, bindings)) {
    EXPECT_EQ(shape, catalog.tensors[static_cast<std::size_t>(catalog.find(tensor.name))].shape)
        << tensor.name;
    ASSERT_EQ(binding.runs.size(), 1u) << tensor.name;
    EXPECT_EQ(binding.runs[0].rows, tensor.rows);
    for (std::uint64_t row = 0; row < tensor.rows; ++row) EXPECT_EQ(source_row(binding, row), row);
  }
}

TEST(FamilyNames, AVectorInPiecesIsATensorForEachHead) {
  constexpr NamePair kPieces[] = {{"self_attn.q_norm", "mix.norms.*"}};
  Graph graph;
  graph.hf_names.table = {{}, "model.layers.", kPieces};
  graph.tensors = {{"model.embed_tokens.weight", 9, 4},
                   {"model.layers.0.self_attn.q_norm.weight", 6, 1, true, 3, false, {}, 3}};
  const auto catalog_of = [](const std::vector<std::string>& pieces, std::uint64_t rows) {
    Catalog catalog;
    catalog.files = {{"model/file", 1u << 20}};
    catalog.tensors = {testing::dense_entry("model.embed_tokens.weight", DType::F32, {9, 4}, 0, 0)};
    for (const std::string& piece : pieces) {
      catalog.tensors.push_back(
          testing::dense_entry("model.layers.0.mix.norms." + piece + ".weight", DType::F32, {rows},
                               0, 4096 * catalog.tensors.size()));
    }
    catalog.finish();
    return catalog;
  };
  const Catalog catalog = catalog_of({"0", "1", "2"}, 2);
  const Bindings bindings = bind(graph, catalog, false);
  EXPECT_TRUE(bindings.unexpected.empty());
  EXPECT_EQ(bindings.payload_bytes, 4u * (9 * 4 + 6));
  for (std::uint32_t head = 0; head < 3; ++head) {
    const RowRun& run = bindings.tensors[1].runs.at(head);
    EXPECT_EQ(run.row, 2 * head);
    EXPECT_EQ(run.source, catalog.find(fmt::format("model.layers.0.mix.norms.{}.weight", head)));
  }
  const std::vector<HfTensor> written = hf_tensors(graph, bindings);
  ASSERT_EQ(written.size(), 4u);
  EXPECT_EQ(written[3].tensor.name, "model.layers.0.mix.norms.2.weight");
  EXPECT_EQ(written[3].shape, std::vector<std::uint64_t>{2});
  ASSERT_EQ(written[3].binding.runs.size(), 1u);
  EXPECT_EQ(written[3].binding.runs[0].row, 0u);
  EXPECT_NE(error_of([&] {
              (void)bind(graph, catalog_of({"0", "2"}, 2), false);
            }).find("1 tensor is missing: \"model.layers.0.mix.norms.1.weight\""),
            std::string::npos);
  EXPECT_EQ(error_of([&] {
              (void)bind(graph, catalog_of({"0", "1", "2"}, 3), false);
            }),
            "model/file: tensor \"model.layers.0.mix.norms.0.weight\" has shape [3], but the model "
            "config asks for [2]");
}

/// Two key heads of 3 rows, four value heads of 2; attention of two heads of 4, gated; 5 columns.
Graph delta_graph(DeltaForm form) {
  Graph graph;
  graph.heads = graph.kv_heads = 2;
  graph.head_size = 4;
  graph.delta = {2, 4, 3, 2, 4};
  graph.hf_names.delta = form;
  graph.hf_names.gates_behind_queries = true;
  const std::string delta = "model.layers.0.linear_attn.";
  graph.tensors = {{"model.embed_tokens.weight", 9, 5},
                   {delta + "q_proj.weight", 6, 5},
                   {delta + "k_proj.weight", 6, 5},
                   {delta + "v_proj.weight", 8, 5},
                   {delta + "z_proj.weight", 8, 5},
                   {delta + "b_proj.weight", 4, 5},
                   {delta + "a_proj.weight", 4, 5},
                   {delta + "v_conv.weight", 4, 8},
                   {delta + "out_proj.weight", 5, 8},
                   {"model.layers.1.self_attn.q_proj.weight", 8, 5},
                   {"model.layers.1.self_attn.gate_proj.weight", 8, 5}};
  return graph;
}

Catalog delta_catalog(DeltaForm form) {
  Catalog catalog;
  catalog.files = {{"model/file", 1u << 20}};
  std::uint64_t offset = 0;
  const auto add = [&](const std::string& name, const std::vector<std::uint64_t>& shape) {
    catalog.tensors.push_back(testing::dense_entry("model." + name, DType::F32, shape, 0, offset));
    offset += 4096;
  };
  const std::string delta = "layers.0.linear_attn.";
  add("embed_tokens.weight", {9, 5});
  if (form == DeltaForm::ByKeyHead) {
    add(delta + "in_proj_qkvz.weight", {28, 5});
    add(delta + "in_proj_ba.weight", {8, 5});
  } else {
    add(delta + "in_proj_qkv.weight", {20, 5});
    add(delta + "in_proj_z.weight", {8, 5});
    add(delta + "in_proj_b.weight", {4, 5});
    add(delta + "in_proj_a.weight", {4, 5});
  }
  add(delta + "conv1d.weight", {20, 1, 4});
  add(delta + "out_proj.weight", {5, 8});
  add("layers.1.self_attn.q_proj.weight", {16, 5});
  catalog.finish();
  return catalog;
}

TEST(FamilyNames, ProductsOfADeltaNetAreByKeyHeadOrApart) {
  const Graph by_head = delta_graph(DeltaForm::ByKeyHead), apart = delta_graph(DeltaForm::Apart);
  const Bindings grouped = bind(by_head, delta_catalog(DeltaForm::ByKeyHead), false);
  EXPECT_TRUE(grouped.unexpected.empty());
  // For each key head: 3 rows of Q, 3 of K, 4 of V, 4 of z; and 2 of b, 2 of a.
  EXPECT_EQ(source_row(grouped.tensors[1], 5), 14u + 2);
  EXPECT_EQ(source_row(grouped.tensors[2], 3), 14u + 3);
  EXPECT_EQ(source_row(grouped.tensors[3], 3), 6u + 3);
  EXPECT_EQ(source_row(grouped.tensors[3], 4), 14u + 6);
  EXPECT_EQ(source_row(grouped.tensors[4], 7), 14u + 10 + 3);
  EXPECT_EQ(source_row(grouped.tensors[5], 2), 4u);
  EXPECT_EQ(source_row(grouped.tensors[6], 1), 2u + 1);
  EXPECT_EQ(source_row(grouped.tensors[6], 2), 4u + 2);
  const Bindings stacked = bind(apart, delta_catalog(DeltaForm::Apart), false);
  EXPECT_TRUE(stacked.unexpected.empty());
  EXPECT_EQ(source_row(stacked.tensors[1], 5), 5u);
  EXPECT_EQ(source_row(stacked.tensors[2], 0), 6u);
  EXPECT_EQ(source_row(stacked.tensors[3], 7), 19u);
  for (const std::size_t alone : {4, 5, 6, 8}) EXPECT_EQ(stacked.tensors[alone].runs.size(), 1u);
}

TEST(FamilyNames, TapsOfAConvolutionAreColumnsOfItsChannels) {
  const Bindings bindings =
      bind(delta_graph(DeltaForm::Apart), delta_catalog(DeltaForm::Apart), false);
  ASSERT_EQ(bindings.tensors[7].runs.size(), 1u);
  const RowRun& run = bindings.tensors[7].runs.front();
  EXPECT_TRUE(run.transposed);
  EXPECT_EQ(run.source_column, 12u) << "behind Q's and K's";
  EXPECT_EQ(run.rows, 4u);
  EXPECT_EQ(run.columns, 8u);
}

TEST(FamilyNames, GatesOfHeadsAreBehindTheirQueries) {
  const Bindings bindings =
      bind(delta_graph(DeltaForm::Apart), delta_catalog(DeltaForm::Apart), false);
  EXPECT_EQ(source_row(bindings.tensors[9], 3), 3u);
  EXPECT_EQ(source_row(bindings.tensors[9], 4), 8u);
  EXPECT_EQ(source_row(bindings.tensors[10], 0), 4u);
  EXPECT_EQ(source_row(bindings.tensors[10], 7), 15u);
}

}  // namespace
}  // namespace initrt
