// A tiny model quantized in every way that is read, as the libraries that define the formats wrote
// it (make_quantized_references.py): dequantized bit by bit as they do it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/model/family.h"
#include "runtime/storage/local_files.h"
#include "runtime/values/hash.h"
#include "sharding/checkpoint/names/names.h"
#include "tests/runtime/convert/quantized_boxes.h"
#include "tests/support/npy.h"
#include "tests/support/reference_llama.h"
#include "tests/support/source_path.h"

namespace initrt::testing {
namespace {

using ::testing::IsEmpty;

std::string golden(const std::string& name) {
  return source_path("tests/golden/quantized/" + name);
}

struct Opened {
  LocalFiles files;
  Catalog catalog;
  Graph graph;
  Bindings bindings;

  explicit Opened(const std::string& path)
      : catalog(open_checkpoint(files, path)),
        graph(build_graph(catalog.config)),
        bindings(bind(graph, catalog, false)) {}
};

class QuantizedModels : public ::testing::TestWithParam<const char*> {};

TEST_P(QuantizedModels, AreDequantizedBitByBitAsTheirLibraryDoesIt) {
  Opened model(golden(GetParam()));
  const nlohmann::json expected =
      nlohmann::json::parse(std::ifstream(golden(GetParam()) + std::string("/expected.json")));
  std::size_t found = 0;
  for (std::size_t i = 0; i < model.graph.tensors.size(); ++i) {
    const Tensor& tensor = model.graph.tensors[i];
    const std::shared_ptr<const QuantizedWeight>& weight = model.bindings.tensors[i].quantized;
    ASSERT_EQ(weight != nullptr, expected.contains(tensor.name)) << tensor.name;
    if (!weight) continue;
    ++found;
    const std::vector<float> values =
        dequantized(model.files, model.catalog, *weight, tensor.rows, tensor.rows);
    Hasher hasher;
    hasher.add(std::as_bytes(std::span(values)));
    EXPECT_EQ(hash_text(hasher.value()), expected[tensor.name].get<std::string>()) << tensor.name;
    for (const auto& [batch, at_once] :
         {std::pair{1u, 1u}, std::pair{5u, 5u}, std::pair{16u, 7u}, std::pair{64u, 3u}}) {
      const std::vector<float> again =
          dequantized(model.files, model.catalog, *weight, batch, at_once);
      EXPECT_EQ(std::memcmp(again.data(), values.data(), values.size() * sizeof(float)), 0)
          << tensor.name << " by " << batch << " rows, " << at_once << " at once";
    }
  }
  EXPECT_EQ(found, expected.size());
}

TEST_P(QuantizedModels, CountEachTensorOnceAndLeaveNoneOver) {
  const Opened model(golden(GetParam()));
  EXPECT_THAT(model.bindings.unexpected, IsEmpty());
  EXPECT_EQ(model.bindings.unused_quantization, "");
  std::uint64_t bytes = 0, activations = 0;
  for (const TensorEntry& tensor : model.catalog.tensors) {
    const bool of_activations = tensor.name.ends_with("input_scale");
    activations += of_activations ? 1 : 0;
    bytes += of_activations ? 0 : tensor.bytes();
  }
  EXPECT_EQ(model.bindings.payload_bytes, bytes);
  EXPECT_EQ(model.bindings.skipped, activations);
}

// A model of plain numbers: those of its weights that are quantized, dequantized.
std::vector<SmallTensor> numbers_of(Opened& model) {
  std::vector<SmallTensor> tensors;
  for (std::size_t i = 0; i < model.graph.tensors.size(); ++i) {
    const Tensor& tensor = model.graph.tensors[i];
    const Binding& binding = model.bindings.tensors[i];
    SmallTensor& numbers = tensors.emplace_back();
    numbers.name = tensor.name;
    numbers.rows = tensor.rows;
    numbers.columns = tensor.columns;
    if (binding.quantized) {
      numbers.values =
          dequantized(model.files, model.catalog, *binding.quantized, tensor.rows, tensor.rows);
      continue;
    }
    const TensorEntry& entry = model.catalog.tensors[binding.runs[0].source];
    const std::vector<std::byte> bytes =
        model.files.read(model.catalog.files[0].path, entry.parts.front().offset, entry.bytes());
    numbers.values.resize(tensor.elements());
    convert(bytes, entry.dtype, 0, tensor.elements(),
            reinterpret_cast<std::byte*>(numbers.values.data()), DType::F32);
  }
  return tensors;
}

TEST_P(QuantizedModels, HaveTheLogitsThatTransformersHasOfTheirDequantizedWeights) {
  Opened model(golden(GetParam()));
  const nlohmann::json& config = model.catalog.config;
  SmallLlama llama;
  llama.hidden = config["hidden_size"];
  llama.intermediate = config["intermediate_size"];
  llama.layers = config["num_hidden_layers"];
  llama.heads = config["num_attention_heads"];
  llama.kv_heads = config["num_key_value_heads"];
  llama.head_size = config["head_dim"];
  llama.vocabulary = config["vocab_size"];
  llama.tied = config["tie_word_embeddings"];
  llama.theta = config["rope_parameters"]["rope_theta"];
  llama.epsilon = config["rms_norm_eps"];
  const std::vector<TokenId> tokens = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<double> mine = reference_logits(llama, numbers_of(model), tokens);
  const std::vector<float> expected =
      read_npy(golden(GetParam()) + "/logits.npy", tokens.size() * llama.vocabulary);
  ASSERT_EQ(mine.size(), expected.size());
  for (std::size_t i = 0; i < mine.size(); ++i) {
    EXPECT_NEAR(mine[i], static_cast<double>(expected[i]), 1e-5) << i;
  }
}

// The folders that are there: none is left out.
std::vector<std::string> folders() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden(""))) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  return names;
}

constexpr const char* kCases[] = {"awq",
                                  "bnb_fp4",
                                  "bnb_int8",
                                  "bnb_nf4_nested",
                                  "bnb_nf4_stored_bf16",
                                  "ct_fp8_block",
                                  "ct_fp8_channel",
                                  "ct_int4",
                                  "ct_int4_order",
                                  "ct_int4_zeros",
                                  "ct_int8_packed",
                                  "ct_mxfp4",
                                  "ct_mxfp8",
                                  "ct_nvfp4",
                                  "ct_w8a8",
                                  "fp8_block",
                                  "fp8_modelopt",
                                  "fp8_ue8m0",
                                  "gptq4_odd_groups",
                                  "gptq4_order",
                                  "gptq8_v2_rows",
                                  "modelopt_nvfp4"};

INSTANTIATE_TEST_SUITE_P(Golden, QuantizedModels, ::testing::ValuesIn(kCases),
                         [](const auto& one) { return std::string(one.param); });

TEST(QuantizedFolders, AreAllTested) {
  EXPECT_THAT(folders(), ::testing::UnorderedElementsAreArray(kCases));
}

}  // namespace
}  // namespace initrt::testing
