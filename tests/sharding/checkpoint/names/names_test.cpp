#include "sharding/checkpoint/names/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sharding/checkpoint/names/names_gguf.h"
#include "tests/sharding/dense_entry.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

const std::vector<std::string> kModules = {
    "input_layernorm",  "self_attn.q_proj", "self_attn.k_proj",
    "self_attn.v_proj", "self_attn.o_proj", "post_attention_layernorm",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
const std::vector<std::string> kGgufModules = {"attn_norm", "attn_q",      "attn_k",
                                               "attn_v",    "attn_output", "ffn_norm",
                                               "ffn_gate",  "ffn_up",      "ffn_down"};

/// A llama of `layers` blocks whose tensors are all [8, 4]; q_proj has two rotary heads.
Graph small_llama(int layers) {
  Graph graph;
  const auto add = [&](const std::string& name) {
    graph.tensors.push_back({name, 8, 4, false, name.ends_with("q_proj.weight") ? 2u : 0u});
  };
  add("model.embed_tokens.weight");
  for (int layer = 0; layer < layers; ++layer) {
    for (const std::string& module : kModules) {
      add("model.layers." + std::to_string(layer) + "." + module + ".weight");
    }
  }
  add("model.norm.weight");
  add("lm_head.weight");
  return graph;
}

Catalog catalog_of(const std::vector<std::string>& names, const char* format = "safetensors") {
  Catalog catalog;
  catalog.format = format;
  catalog.path = "model";
  catalog.files = {{"model/file", 1u << 20}};
  for (const std::string& name : names) {
    const std::uint64_t offset = catalog.tensors.size() * 128;
    catalog.tensors.push_back(testing::dense_entry(name, DType::F32, {8, 4}, 0, offset));
  }
  catalog.finish();
  return catalog;
}

std::vector<std::string> names_of(const Graph& graph) {
  std::vector<std::string> names;
  for (const Tensor& tensor : graph.tensors) names.push_back(tensor.name);
  return names;
}

std::vector<std::string> gguf_names(int layers) {
  std::vector<std::string> names = {"token_embd.weight", "output_norm.weight", "output.weight"};
  for (int layer = 0; layer < layers; ++layer) {
    for (const std::string& module : kGgufModules) {
      names.push_back("blk." + std::to_string(layer) + "." + module + ".weight");
    }
  }
  return names;
}

TEST(Names, HuggingFaceNamesAreTheCanonicalOnes) {
  const Graph graph = small_llama(12);
  const Catalog catalog = catalog_of(names_of(graph));
  const Bindings bindings = bind(graph, catalog, false);
  EXPECT_EQ(bindings.naming, "huggingface");
  EXPECT_TRUE(bindings.unexpected.empty());
  EXPECT_EQ(bindings.payload_bytes, graph.tensors.size() * 128);
  for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
    ASSERT_EQ(bindings.tensors[i].runs.size(), 1u);
    const RowRun& run = bindings.tensors[i].runs[0];
    EXPECT_EQ(catalog.tensors[run.source].name, graph.tensors[i].name);
    EXPECT_EQ(run.rows, 8u);
    EXPECT_EQ(run.columns, 4u);
    EXPECT_EQ(run.source_stride, 1u);
  }
}

TEST(Names, GgufNamesAreTranslatedOneByOne) {
  const Graph graph = small_llama(11);
  const Catalog catalog = catalog_of(gguf_names(11), "gguf");
  const Bindings bindings = bind(graph, catalog, false);
  EXPECT_EQ(bindings.naming, "gguf");
  EXPECT_TRUE(bindings.unexpected.empty());
  const auto source_of = [&](const char* canonical) {
    for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
      if (graph.tensors[i].name == canonical) {
        return catalog.tensors[bindings.tensors[i].runs[0].source].name;
      }
    }
    return std::string();
  };
  EXPECT_EQ(source_of("model.embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(source_of("model.norm.weight"), "output_norm.weight");
  EXPECT_EQ(source_of("lm_head.weight"), "output.weight");
  for (std::size_t m = 0; m < kModules.size(); ++m) {
    EXPECT_EQ(source_of(("model.layers.10." + kModules[m] + ".weight").c_str()),
              "blk.10." + kGgufModules[m] + ".weight");
  }
}

TEST(Names, ABiasThatAGgufFileHasIsNotLeftOut) {
  const Graph graph = small_llama(2);
  for (const char* bias :
       {"blk.1.attn_output.bias", "blk.0.attn_k.bias", "output_norm.bias", "output.bias"}) {
    std::vector<std::string> names = gguf_names(2);
    names.emplace_back(bias);
    EXPECT_THAT(error_of([&] { (void)bind(graph, catalog_of(names, "gguf"), false); }),
                HasSubstr(std::string("\"") + bias + "\" is the bias of a weight that has none"));
  }
  std::vector<std::string> names = gguf_names(2);
  names.emplace_back("v.blk.0.attn_q.bias");  // of what looks at images
  EXPECT_EQ(bind(graph, catalog_of(names, "gguf"), false).unexpected.size(), 1u);
}

TEST(Names, WhatGgufHasNoNameForIsNotTranslated) {
  const auto translate = [](const char* canonical) {
    return locate_gguf({canonical, 8, 4, false, 0}, {}, {}).name;
  };
  for (const char* name :
       {"", "model.layers.", "model.layers.1", "model.layers.1.weight", "model.layers.1.mlp.weight",
        "model.layer.1.mlp.up_proj.weight", "transformer.h.0.attn.c_attn.weight"}) {
    EXPECT_EQ(translate(name), "") << name;
  }
  EXPECT_EQ(translate("model.layers.3.self_attn.q_proj.bias"), "blk.3.attn_q.bias");
}

/// The stored row that canonical row `row` of tensor 0 is taken from.
std::uint64_t stored_row(const Binding& binding, std::uint64_t row) {
  for (const RowRun& run : binding.runs) {
    if (row >= run.row && row < run.row + run.rows) {
      return run.source_row + (row - run.row) * run.source_stride;
    }
  }
  ADD_FAILURE() << "no run covers row " << row;
  return 0;
}

TEST(Names, InterleavedRotaryRowsAreUndone) {
  Graph graph;
  graph.tensors.push_back({"model.layers.0.self_attn.q_proj.weight", 12, 4, false, 2});
  graph.tensors.push_back({"model.layers.0.self_attn.v_proj.weight", 12, 4, false, 0});
  Catalog catalog;
  catalog.format = "gguf";
  catalog.files = {{"file", 1000}};
  catalog.tensors = {testing::dense_entry("blk.0.attn_q.weight", DType::F32, {12, 4}, 0, 0),
                     testing::dense_entry("blk.0.attn_v.weight", DType::F32, {12, 4}, 0, 192)};
  catalog.finish();
  catalog.metadata["general.architecture"] = "llama";
  const Bindings bindings = bind(graph, catalog, false);
  // Two heads of six rows: the first half's rows are stored at 0, 2, 4, the second's at 1, 3, 5.
  const std::vector<std::uint64_t> expected = {0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11};
  for (std::uint64_t row = 0; row < 12; ++row) {
    EXPECT_EQ(stored_row(bindings.tensors[0], row), expected[row]);
    EXPECT_EQ(stored_row(bindings.tensors[1], row), row);
  }
  catalog.metadata["general.architecture"] = "qwen2";  // whose rows are not interleaved
  EXPECT_EQ(stored_row(bind(graph, catalog, false).tensors[0], 1), 1u);
}

TEST(Names, MissingTensorsAreCountedAndTheFirstFewNamed) {
  const Graph graph = small_llama(2);
  std::vector<std::string> names = names_of(graph);
  std::erase_if(names, [](const std::string& name) { return name.starts_with("model.layers.1."); });
  const Catalog catalog = catalog_of(names);
  EXPECT_EQ(
      error_of([&] { (void)bind(graph, catalog, false); }),
      "model: 9 tensors are missing: \"model.layers.1.input_layernorm.weight\" (the nearest "
      "name is \"model.layers.0.input_layernorm.weight\"), "
      "\"model.layers.1.self_attn.q_proj.weight\" (the nearest name is "
      "\"model.layers.0.self_attn.q_proj.weight\"), \"model.layers.1.self_attn.k_proj.weight\" "
      "(the nearest name is \"model.layers.0.self_attn.k_proj.weight\"), ... (all with "
      "--verbose)");
}

TEST(Names, OfAnIncompleteDownloadTheMissingFilesAreNamed) {
  const Graph graph = small_llama(1);
  std::vector<std::string> names = names_of(graph);
  names.pop_back();
  Catalog catalog = catalog_of(names);
  catalog.absent_tensors = {{"lm_head.weight", "model-00002-of-00002.safetensors"},
                            {"mtp.weight", "model-00002-of-00002.safetensors"}};
  catalog.absent_files = {"model-00002-of-00002.safetensors"};
  EXPECT_EQ(error_of([&] { (void)bind(graph, catalog, false); }),
            "model: 1 tensor is missing: \"lm_head.weight\" (should be in "
            "\"model-00002-of-00002.safetensors\"); a file is not there, download it: "
            "\"model-00002-of-00002.safetensors\"");
  EXPECT_THROW((void)bind(graph, catalog, false), UnfitCheckpoint);
  EXPECT_NO_THROW((void)bind(graph, catalog_of(names_of(graph)), false)) << "what is not needed";
}

TEST(Names, AllMissingTensorsAreNamedOnRequest) {
  const Graph graph = small_llama(2);
  const Catalog catalog = catalog_of({"model.norm.weight"});
  const std::string text = error_of([&] { (void)bind(graph, catalog, true); });
  EXPECT_TRUE(text.starts_with("model: 20 tensors are missing: ")) << text;
  for (const Tensor& tensor : graph.tensors) {
    if (tensor.name != "model.norm.weight") {
      EXPECT_NE(text.find(tensor.name), std::string::npos) << tensor.name;
    }
  }
  EXPECT_EQ(text.find("--verbose"), std::string::npos);
}

/// A model of one block: two query groups of three heads of four elements.
Graph grouped_llama() {
  Graph graph;
  graph.heads = 6;
  graph.kv_heads = 2;
  graph.head_size = 4;
  const std::string block = "model.layers.0.self_attn.";
  graph.tensors = {{block + "q_proj.weight", 24, 2, false, 6},
                   {block + "k_proj.weight", 8, 2, false, 2},
                   {block + "v_proj.weight", 8, 2, false, 0}};
  return graph;
}

Catalog one_matrix(const std::string& name, std::uint64_t rows) {
  Catalog catalog;
  catalog.files = {{"file", 1000}};
  catalog.tensors = {testing::dense_entry(name, DType::F32, {rows, 2}, 0, 0)};
  catalog.finish();
  return catalog;
}

std::vector<std::uint64_t> stored_rows(const Bindings& bindings, std::size_t tensor,
                                       std::uint64_t rows) {
  std::vector<std::uint64_t> stored;
  for (std::uint64_t row = 0; row < rows; ++row) {
    stored.push_back(stored_row(bindings.tensors[tensor], row));
  }
  return stored;
}

TEST(Names, LitGptsGroupsHoldQueriesAKeyAndAValue) {
  const Bindings bindings =
      bind(grouped_llama(), one_matrix("transformer.h.0.attn.attn.weight", 40), false);
  EXPECT_EQ(bindings.naming, "lit-gpt");
  std::vector<std::uint64_t> queries;
  for (const std::uint64_t group : {0u, 20u}) {
    for (std::uint64_t row = 0; row < 12; ++row) queries.push_back(group + row);
  }
  EXPECT_EQ(stored_rows(bindings, 0, 24), queries);
  EXPECT_EQ(stored_rows(bindings, 1, 8),
            (std::vector<std::uint64_t>{12, 13, 14, 15, 32, 33, 34, 35}));
  EXPECT_EQ(stored_rows(bindings, 2, 8),
            (std::vector<std::uint64_t>{16, 17, 18, 19, 36, 37, 38, 39}));
  EXPECT_EQ(bindings.payload_bytes, 40u * 2 * 4) << "read once for the three of them";
}

TEST(Names, LitGptsLaterMatrixIsStacked) {
  const Bindings bindings =
      bind(grouped_llama(), one_matrix("transformer.h.0.attn.qkv.weight", 40), false);
  EXPECT_EQ(bindings.naming, "lit-gpt-stacked");
  EXPECT_EQ(stored_rows(bindings, 0, 3), (std::vector<std::uint64_t>{0, 1, 2}));
  EXPECT_EQ(stored_rows(bindings, 1, 2), (std::vector<std::uint64_t>{24, 25}));
  EXPECT_EQ(stored_rows(bindings, 2, 2), (std::vector<std::uint64_t>{32, 33}));
}

TEST(Names, LitLlamasMatrixIsStackedAndItsHalvesInterleaved) {
  Catalog catalog = one_matrix("transformer.h.0.attn.c_attn.weight", 40);
  catalog.tensors.push_back(
      testing::dense_entry("transformer.h.0.rms_1.scale", DType::F32, {2}, 0, 320));
  catalog.finish();
  Graph graph = grouped_llama();
  graph.tensors.push_back({"model.layers.0.input_layernorm.weight", 2, 1, true, 0});
  const Bindings bindings = bind(graph, catalog, false);
  EXPECT_EQ(bindings.naming, "lit-llama");
  EXPECT_EQ(stored_rows(bindings, 0, 8), (std::vector<std::uint64_t>{0, 2, 1, 3, 4, 6, 5, 7}));
  EXPECT_EQ(stored_rows(bindings, 1, 4), (std::vector<std::uint64_t>{24, 26, 25, 27}));
  EXPECT_EQ(stored_rows(bindings, 2, 4), (std::vector<std::uint64_t>{32, 33, 34, 35}));
  EXPECT_TRUE(bindings.unexpected.empty());
}

TEST(Names, AFusedMatrixOfAnotherHeightIsAnError) {
  EXPECT_EQ(error_of([&] {
              (void)bind(grouped_llama(), one_matrix("transformer.h.0.attn.attn.weight", 24),
                         false);
            }),
            "file: tensor \"transformer.h.0.attn.attn.weight\" has shape [24, 2], but the model "
            "config asks for [40, 2]");
}

TEST(Names, AnEmptyWeightIsSaidToBeZero3s) {
  EXPECT_THAT(error_of([&] {
                Catalog catalog = one_matrix("transformer.h.0.attn.attn.weight", 40);
                for (TensorEntry& tensor : catalog.tensors) {
                  if (tensor.name.ends_with("attn.attn.weight")) tensor.shape = {0};
                }
                (void)bind(grouped_llama(), catalog, false);
              }),
              ::testing::HasSubstr("DeepSpeed's ZeRO-3"));
}

TEST(Names, WhatAWrapperPutsBeforeEveryNameIsFound) {
  const Graph graph = small_llama(1);
  for (const std::string prefix : {"model.", "module.", "_orig_mod.", "state.wrapped.model."}) {
    std::vector<std::string> names = names_of(graph);
    for (std::string& name : names) name.insert(0, prefix);
    names.push_back("optim.longer." + names.front());
    const Bindings bindings = bind(graph, catalog_of(names), false);
    EXPECT_EQ(bindings.naming, "huggingface");
    EXPECT_TRUE(bindings.unexpected.empty()) << prefix;
  }
  std::vector<std::string> headless;
  for (const Tensor& tensor : graph.tensors) {
    if (tensor.name.starts_with("model.")) headless.push_back(tensor.name.substr(6));
  }
  headless.push_back("lm_head.weight");
  EXPECT_EQ(bind(graph, catalog_of(headless), false).naming, "huggingface-base");
}

TEST(Names, AnAverageOrATeacherBesideTheModelIsNotTakenForIt) {
  const Graph graph = small_llama(1);
  for (const std::string other : {"ema.", "teacher.", "critic.", "averaged_weights."}) {
    std::vector<std::string> names = names_of(graph);
    for (const std::string& name : names_of(graph)) names.push_back(other + name);
    for (std::size_t i = 0; i < names.size() / 2; ++i) names[i].insert(0, "model.");
    const Catalog catalog = catalog_of(names);
    const Bindings bindings = bind(graph, catalog, false);
    EXPECT_EQ(catalog.tensors[bindings.tensors[0].runs[0].source].name,
              "model.model.embed_tokens.weight");
    EXPECT_EQ(bindings.unexpected.size(), graph.tensors.size()) << other;
  }
}

TEST(Names, AnAliasServesWhereTheFirstNameIsMissingAndIsHarmlessWhereNot) {
  Graph graph = small_llama(0);
  std::erase_if(graph.tensors,
                [](const Tensor& tensor) { return tensor.name == "lm_head.weight"; });
  graph.tensors.front().aliases = {"lm_head.weight"};
  const Catalog both =
      catalog_of({"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"});
  EXPECT_EQ(bind(graph, both, false).skipped, 1u);
  EXPECT_EQ(bind(graph, both, false).payload_bytes, 256u);
  const Catalog other = catalog_of({"model.norm.weight", "lm_head.weight"});
  const Bindings bindings = bind(graph, other, false);
  EXPECT_EQ(other.tensors[bindings.tensors[0].runs[0].source].name, "lm_head.weight");
  EXPECT_EQ(bindings.skipped, 0u);
  const Catalog neither = catalog_of({"model.norm.weight"});
  EXPECT_NE(error_of([&] { (void)bind(graph, neither, false); }).find("model.embed_tokens.weight"),
            std::string::npos);
}

TEST(Names, MissingTensorsAreNamedAsTheCheckpointWouldSpellThem) {
  std::vector<std::string> names = gguf_names(1);
  std::erase(names, "output.weight");
  const Catalog catalog = catalog_of(names, "gguf");
  EXPECT_TRUE(error_of([&] {
                (void)bind(small_llama(1), catalog, false);
              }).starts_with("model: 1 tensor is missing: \"output.weight\""));
}

TEST(Names, HostileNamesInAMessageStayOnOneLine) {
  const Catalog catalog = catalog_of({"model.norm.weigh\n"});
  Graph graph;
  graph.tensors.push_back({"model.norm.weight", 8, 4, false, 0});
  EXPECT_EQ(error_of([&] { (void)bind(graph, catalog, false); }),
            "model: 1 tensor is missing: \"model.norm.weight\" (the nearest name is "
            "\"model.norm.weigh\\n\")");
}

TEST(Names, WhatAHostileNameHasBeforeAnAnchorStaysPrintable) {
  Graph graph;
  graph.tensors.push_back({"model.embed_tokens.weight", 16, 4, false, 0});
  const Catalog catalog = catalog_of({"m\x7f\xff.model.embed_tokens.weight"});
  EXPECT_EQ(
      error_of([&] { (void)bind(graph, catalog, false); }),
      "model/file: tensor \"m\\u007f\\ufffd.model.embed_tokens.weight\" has shape [8, 4], but "
      "the model config asks for [16, 4]");
  graph.tensors[0].name = "model.norm.weight";
  EXPECT_TRUE(error_of([&] {
                (void)bind(graph, catalog, false);
              }).starts_with("model: 1 tensor is missing: \"m\\u007f\\ufffd.model.norm.weight\""));
}

TEST(Names, ShapesThatDisagreeWithTheConfigAreErrors) {
  Graph graph = small_llama(1);
  const Catalog catalog = catalog_of(names_of(graph));
  graph.tensors[3].rows = 16;
  EXPECT_EQ(
      error_of([&] { (void)bind(graph, catalog, false); }),
      "model/file: tensor \"model.layers.0.self_attn.k_proj.weight\" has shape [8, 4], but the "
      "model config asks for [16, 4]");
  graph = small_llama(1);
  graph.tensors[1].vector = true;
  graph.tensors[1].columns = 1;
  EXPECT_EQ(
      error_of([&] { (void)bind(graph, catalog, false); }),
      "model/file: tensor \"model.layers.0.input_layernorm.weight\" has shape [8, 4], but the "
      "model config asks for [8]");
}

TEST(Names, TensorsThatNothingUsesAreListed) {
  const Graph graph = small_llama(1);
  std::vector<std::string> names = names_of(graph);
  names.insert(names.begin() + 2, "model.layers.0.self_attn.rotary_emb.inv_freq");
  names.push_back("vision_tower.weight");
  names.push_back("optim.state.model.norm.weight.exp_avg");
  const Bindings bindings = bind(graph, catalog_of(names), false);
  EXPECT_EQ(bindings.unexpected, (std::vector<std::string>{"vision_tower.weight"}));
  EXPECT_EQ(bindings.skipped, 2u) << "buffers and optimizer states are harmless";
  EXPECT_EQ(bindings.payload_bytes, graph.tensors.size() * 128) << "they are no payload";
}

TEST(Names, UnexpectedTensorsAreCountedAndTheFirstFewNamedOnOneLine) {
  Bindings bindings;
  bindings.unexpected = {"a\n"};
  EXPECT_EQ(describe_unexpected(bindings, false), "1 tensor is not used by this model: \"a\\n\"");
  bindings.unexpected = {"a", "b", "c", "d"};
  EXPECT_EQ(describe_unexpected(bindings, false),
            "4 tensors are not used by this model: \"a\", \"b\", \"c\", ... (all with --verbose)");
  EXPECT_EQ(describe_unexpected(bindings, true),
            "4 tensors are not used by this model: \"a\", \"b\", \"c\", \"d\"");
}

TEST(Names, ATensorUsedTwiceIsPayloadOnce) {
  Graph graph = small_llama(0);
  graph.tensors[2].name = graph.tensors[0].name;
  EXPECT_EQ(bind(graph, catalog_of({"model.embed_tokens.weight", "model.norm.weight"}), false)
                .payload_bytes,
            256u);
}

TEST(Names, TheNearestNameIsTheOneOfFewestEdits) {
  const std::vector<std::string> names = {"output.weight", "output_norm.weight", "blk.0.attn_q"};
  EXPECT_EQ(nearest("output.weights", names), "output.weight");
  EXPECT_EQ(nearest("outputnorm.weight", names), "output_norm.weight");
  EXPECT_EQ(nearest("blk.0.attn_k", names), "blk.0.attn_q");
  EXPECT_EQ(nearest("abcdefgh", names), "");
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(nearest("x", {}), "");
  // Long ones are not compared: that takes long.
  const std::string word(256, 'x');
  EXPECT_EQ(nearest(word + "y", std::vector<std::string>{word}), word);
  EXPECT_EQ(nearest(word, std::vector<std::string>{word + "y"}), "");
  // Up to a third of the word's length is near.
  EXPECT_EQ(nearest("abcdef", std::vector<std::string>{"abcdxy"}), "abcdxy");
  EXPECT_EQ(nearest("abcdef", std::vector<std::string>{"abcxyz"}), "");
}

}  // namespace
}  // namespace initrt
