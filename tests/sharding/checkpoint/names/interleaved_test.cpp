// Heads whose rotary pairs are neighbouring rows, and models that rotate them in part.
#include <gtest/gtest.h>

#include "sharding/checkpoint/names/names.h"
#include "tests/sharding/checkpoint/names/small_graph.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::add_tensor;
using testing::error_of;

/// Two heads of six rows, of which `rotated` elements are.
Graph graph_of(std::uint32_t rotated) {
  Graph graph;
  graph.heads = graph.kv_heads = 2;
  graph.head_size = 6;
  graph.rotary.emplace_back().dimensions = rotated;
  graph.tensors = {{"model.embed_tokens.weight", 9, 4},
                   {"model.norm.weight", 4, 1, true},
                   {"model.layers.0.input_layernorm.weight", 4, 1, true},
                   {"model.layers.0.self_attn.q_proj.weight", 12, 4, false, 2},
                   {"model.layers.0.self_attn.k_proj.weight", 12, 4, false, 2},
                   {"model.layers.0.self_attn.v_proj.weight", 12, 4}};
  Unit block;
  block.ops = {RotaryOp{0, 6, 0}};
  graph.units = {block};
  return graph;
}

struct Stored {
  std::string name;
  std::vector<std::uint64_t> shape;
};

/// What graph_of() is in Meta's names, in Lit-LLaMA's and in llama.cpp's.
struct Written {
  const char* naming;
  std::vector<Stored> tensors;
  const char* query;
};
const std::vector<Written> kWritten = {{"meta",
                                        {{"tok_embeddings.weight", {9, 4}},
                                         {"norm.weight", {4}},
                                         {"layers.0.attention_norm.weight", {4}},
                                         {"layers.0.attention.wq.weight", {12, 4}},
                                         {"layers.0.attention.wk.weight", {12, 4}},
                                         {"layers.0.attention.wv.weight", {12, 4}}},
                                        "layers.0.attention.wq.weight"},
                                       {"lit-llama",
                                        {{"transformer.wte.weight", {9, 4}},
                                         {"transformer.ln_f.scale", {4}},
                                         {"transformer.h.0.rms_1.scale", {4}},
                                         {"transformer.h.0.attn.c_attn.weight", {36, 4}}},
                                        "transformer.h.0.attn.c_attn.weight"},
                                       {"gguf",
                                        {{"token_embd.weight", {9, 4}},
                                         {"output_norm.weight", {4}},
                                         {"blk.0.attn_norm.weight", {4}},
                                         {"blk.0.attn_q.weight", {12, 4}},
                                         {"blk.0.attn_k.weight", {12, 4}},
                                         {"blk.0.attn_v.weight", {12, 4}}},
                                        "blk.0.attn_q.weight"}};

Catalog catalog_of(const Written& written, const char* architecture = "granite") {
  Catalog catalog;
  catalog.path = "model";
  for (const auto& [name, shape] : written.tensors) add_tensor(catalog, name, DType::F32, shape);
  catalog.finish();
  catalog.metadata["general.architecture"] = architecture;
  return catalog;
}

TEST(InterleavedHeads, AreTakenApartWhereTheyAreRotatedWhole) {
  for (const Written& written : kWritten) {
    const Bindings bindings = bind(graph_of(6), catalog_of(written), false);
    EXPECT_EQ(bindings.naming, written.naming);
    for (const std::size_t tensor : {3, 4}) {
      ASSERT_EQ(bindings.tensors[tensor].runs.size(), 4u) << written.naming;
      for (const RowRun& run : bindings.tensors[tensor].runs) EXPECT_EQ(run.source_stride, 2u);
    }
  }
}

// The first rotated elements of a head are pairs of halves of their own, so that undoing whole
// heads would give other numbers without a word.
TEST(InterleavedHeads, AreRefusedWhereTheyAreRotatedInPart) {
  for (const Written& written : kWritten) {
    EXPECT_EQ(error_of([&] { (void)bind(graph_of(4), catalog_of(written), false); }),
              "model/file: tensor \"" + std::string(written.query) +
                  "\" has rotary pairs as neighbouring rows, as all of " + written.naming +
                  " naming, but the model config rotates 4 of 6 elements of a head: expected all "
                  "of them; which rows are pairs is not known otherwise");
  }
}

TEST(InterleavedHeads, AreNoneWhereANamingSplitsTheHalves) {
  const Catalog catalog = catalog_of(kWritten.back(), "qwen2");
  EXPECT_EQ(bind(graph_of(4), catalog, false).tensors[3].runs.size(), 1u);
}

}  // namespace
}  // namespace initrt
