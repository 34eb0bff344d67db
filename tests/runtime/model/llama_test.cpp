// The LLaMA family's graphs, and the configs that it refuses.
#include "runtime/model/families/families.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "sharding/layout.h"
#include "sharding/memory_plan.h"
#include "tests/sharding/errors.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

nlohmann::json config(bool tied = false) { return config_of(tied ? tied_llama() : SmallLlama{}); }

nlohmann::json with(const std::string& key, const nlohmann::json& value) {
  nlohmann::json changed = config();
  changed[key] = value;
  return changed;
}

nlohmann::json without(const std::string& key) {
  nlohmann::json changed = config();
  changed.erase(key);
  return changed;
}

std::string error_of_config(const nlohmann::json& json) {
  return error_of([&] { (void)build_llama(json); });
}

std::vector<std::string> unit_names(const Graph& graph) {
  std::vector<std::string> names;
  for (const Unit& unit : graph.units) names.push_back(unit.name);
  return names;
}

TEST(LlamaGraph, HasEmbeddingBlocksAndHeadTilesInOrder) {
  const Graph graph = build_llama(config());
  EXPECT_THAT(unit_names(graph), ElementsAre("embedding", "block.0", "block.1", "block.2", "head.0",
                                             "head.1", "head.2"));
  EXPECT_THAT(graph.execution_order(), ElementsAre(1, 2, 3, 4, 5, 6));
  ASSERT_EQ(graph.embedding.size(), 1u);
  EXPECT_EQ(graph.embedding[0].unit, 0u);
}

TEST(LlamaGraph, HasTiedTilesFirstAndRunsThemLast) {
  const Graph graph = build_llama(config(/*tied=*/true));
  EXPECT_THAT(unit_names(graph),
              ElementsAre("head.0", "head.1", "head.2", "block.0", "block.1", "block.2"));
  EXPECT_THAT(graph.execution_order(), ElementsAre(3, 4, 5, 0, 1, 2));
  ASSERT_EQ(graph.embedding.size(), 3u);
  for (std::uint32_t tile = 0; tile < 3; ++tile) EXPECT_EQ(graph.embedding[tile].unit, tile);
}

TEST(LlamaGraph, HoldsEveryRowOfEveryTensorOnce) {
  for (const bool tied : {false, true}) {
    const Graph graph = build_llama(config(tied));
    std::map<std::uint32_t, std::vector<std::pair<std::uint64_t, std::uint64_t>>> rows;
    for (const Unit& unit : graph.units) {
      for (const Param& param : unit.params) {
        rows[param.tensor].emplace_back(param.row_begin, param.rows);
      }
    }
    ASSERT_EQ(rows.size(), graph.tensors.size());
    for (auto& [tensor, parts] : rows) {
      std::sort(parts.begin(), parts.end());
      std::uint64_t end = 0;
      for (const auto& [begin, count] : parts) {
        EXPECT_EQ(begin, end) << graph.tensors[tensor].name;
        EXPECT_GT(count, 0u);
        end = begin + count;
      }
      EXPECT_EQ(end, graph.tensors[tensor].rows) << graph.tensors[tensor].name;
    }
  }
}

TEST(LlamaGraph, HasTheCheckpointsTensorsAndShapes) {
  for (const SmallLlama& shape : {SmallLlama{}, tied_llama()}) {
    const Graph graph = build_llama(config_of(shape));
    std::map<std::string, const Tensor*> by_name;
    for (const Tensor& tensor : graph.tensors) by_name[tensor.name] = &tensor;
    const std::vector<SmallTensor> expected = random_tensors(shape, 1);
    EXPECT_EQ(by_name.size(), expected.size());
    for (const SmallTensor& tensor : expected) {
      ASSERT_TRUE(by_name.contains(tensor.name)) << tensor.name;
      const Tensor& got = *by_name[tensor.name];
      EXPECT_EQ(got.rows, tensor.rows) << tensor.name;
      EXPECT_EQ(got.columns, tensor.columns) << tensor.name;
      EXPECT_EQ(got.vector, tensor.vector) << tensor.name;
      EXPECT_EQ(got.rotary_heads, tensor.rotary_heads) << tensor.name;
    }
  }
}

TEST(LlamaGraph, HasHeadTilesNoLargerThanABlockThatCoverTheVocabulary) {
  const Graph graph = build_llama(config());
  const Layout layout = make_layout(graph, *precision_from_name("32-true"));
  std::uint64_t vocabulary = 0, block = 0;
  for (std::uint32_t unit = 0; unit < graph.units.size(); ++unit) {
    if (graph.units[unit].kind == UnitKind::Block) block = layout.units[unit].bytes;
    if (graph.units[unit].kind != UnitKind::Head) continue;
    EXPECT_LE(layout.units[unit].bytes, block);
    const auto& op = std::get<HeadOp>(graph.units[unit].ops.back());
    EXPECT_EQ(op.vocabulary_begin, vocabulary);
    vocabulary += graph.units[unit].params[op.weight].rows;
  }
  EXPECT_EQ(vocabulary, graph.vocabulary);
}

TEST(LlamaGraph, HasABoundedNumberOfHeadTiles) {
  const Graph graph = build_llama({{"hidden_size", 8},
                                   {"intermediate_size", 1},
                                   {"num_hidden_layers", 1},
                                   {"num_attention_heads", 1},
                                   {"head_dim", 2},
                                   {"vocab_size", 1u << 24}});
  EXPECT_EQ(graph.units.size(), 2u + 4096u);
  EXPECT_EQ(graph.units.back().params.back().rows, (1u << 24) / 4096);
}

// Published shapes: Llama 3.1 405B.
TEST(LlamaGraph, OfALargeModelIsBuiltFromItsConfigAlone) {
  const Graph graph = build_llama({{"hidden_size", 16384},
                                   {"intermediate_size", 53248},
                                   {"num_hidden_layers", 126},
                                   {"num_attention_heads", 128},
                                   {"num_key_value_heads", 8},
                                   {"vocab_size", 128256},
                                   {"max_position_embeddings", 131072}});
  std::uint64_t elements = 0;
  for (const Tensor& tensor : graph.tensors) elements += tensor.elements();
  EXPECT_EQ(elements, 405'853'388'800u);
  EXPECT_EQ(make_layout(graph, *precision_from_name("bf16-true")).bytes(), 2 * elements);
}

TEST(LlamaConfig, HasDefaultsForWhatOlderConfigsLeaveOut) {
  nlohmann::json json = config();
  for (const char* key : {"num_key_value_heads", "head_dim", "rope_theta", "rms_norm_eps",
                          "tie_word_embeddings", "hidden_act", "max_position_embeddings"}) {
    json.erase(key);
  }
  json["rope_scaling"] = nullptr;
  json["num_attention_heads"] = 13;
  const Graph graph = build_llama(json);
  EXPECT_EQ(graph.kv_heads, 13u);
  EXPECT_EQ(graph.head_size, 4u);
  EXPECT_EQ(graph.context, 2048u);
  EXPECT_DOUBLE_EQ(graph.rotary[0].theta, 10000.0);
  EXPECT_EQ(graph.embedding.size(), 1u) << "not tied";
}

TEST(LlamaConfig, ReadsRotaryParametersFromEitherPlace) {
  EXPECT_DOUBLE_EQ(build_llama(config()).rotary[0].theta, 500.0);
  nlohmann::json json = without("rope_theta");
  EXPECT_DOUBLE_EQ(build_llama(json).rotary[0].theta, 10000.0);
  json["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 5e5}};
  EXPECT_DOUBLE_EQ(build_llama(json).rotary[0].theta, 5e5);
}

TEST(LlamaConfig, NamesTheKeyThatIsMissing) {
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "vocab_size"}) {
    EXPECT_THAT(error_of_config(without(key)), AllOf(HasSubstr(key), HasSubstr("missing")));
    EXPECT_THAT(error_of_config(with(key, nullptr)), AllOf(HasSubstr(key), HasSubstr("missing")));
  }
}

TEST(LlamaConfig, NamesTheKeyThatIsIllTypedOrOutOfRange) {
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings"}) {
    for (const nlohmann::json& bad :
         {nlohmann::json("52"), nlohmann::json(-1), nlohmann::json(0), nlohmann::json(52.5),
          nlohmann::json(true), nlohmann::json(1ull << 63), nlohmann::json::array({52})}) {
      EXPECT_THAT(error_of_config(with(key, bad)), HasSubstr(key)) << bad;
    }
  }
  for (const char* key : {"rms_norm_eps", "rope_theta"}) {
    for (const nlohmann::json& bad :
         {nlohmann::json("1"), nlohmann::json(0), nlohmann::json(-1.0), nlohmann::json(false),
          nlohmann::json(1e-46), nlohmann::json(1e39)}) {
      EXPECT_THAT(error_of_config(with(key, bad)), HasSubstr(key)) << bad;
    }
  }
  EXPECT_THAT(error_of_config(with("tie_word_embeddings", 1)), HasSubstr("tie_word_embeddings"));
  EXPECT_THAT(error_of_config(with("hidden_act", 1)), HasSubstr("hidden_act"));
  EXPECT_THAT(error_of_config(with("rope_scaling", 1)), HasSubstr("rope_scaling"));
}

TEST(LlamaConfig, RefusesSizesThatDoNotFitTogether) {
  EXPECT_THAT(error_of_config(with("num_key_value_heads", 3)), HasSubstr("num_key_value_heads"));
  EXPECT_THAT(error_of_config(with("head_dim", 9)), HasSubstr("even number"));
  nlohmann::json json = without("head_dim");
  json["num_attention_heads"] = 6;
  EXPECT_THAT(error_of_config(json), HasSubstr("not a multiple of num_attention_heads"));
  // One head as wide as the model.
  json["num_attention_heads"] = 1;
  json["num_key_value_heads"] = 1;
  json["hidden_size"] = 1u << 20;
  EXPECT_THAT(error_of_config(json), HasSubstr("head"));
}

TEST(LlamaConfig, RefusesWhatItDoesNotCompute) {
  EXPECT_THAT(error_of_config(with("hidden_act", "relu6")), HasSubstr("relu6"));
  EXPECT_THAT(error_of_config(with("rope_scaling", {{"rope_type", "spiral"}})),
              AllOf(HasSubstr("spiral"), HasSubstr("llama3")));
  EXPECT_THAT(error_of_config(with("partial_rotary_factor", 0.5)), HasSubstr("even number"));
  EXPECT_THAT(error_of_config(with("partial_rotary_factor", 1.5)), HasSubstr("15 of 10"));
}

TEST(LlamaConfig, ReadsBiases) {
  const auto biases = [](const nlohmann::json& json) {
    std::vector<std::string> names;
    for (const Tensor& tensor : build_llama(json).tensors) {
      if (tensor.name.ends_with(".bias") && tensor.name.starts_with("model.layers.0.")) {
        names.push_back(tensor.name.substr(15));
      }
    }
    return names;
  };
  EXPECT_THAT(biases(config()), ElementsAre());
  EXPECT_THAT(biases(with("attention_bias", true)),
              ElementsAre("self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias",
                          "self_attn.o_proj.bias"));
  EXPECT_THAT(biases(with("mlp_bias", true)),
              ElementsAre("mlp.gate_proj.bias", "mlp.up_proj.bias", "mlp.down_proj.bias"));
}

}  // namespace
}  // namespace initrt::testing
